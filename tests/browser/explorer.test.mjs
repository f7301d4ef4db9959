// The API explorer in a real browser against a running server. Wants BASE_URL, RAMET_ADMIN_PASSWORD and, to have a VM to clone,
// IMAGE_URL (a small image the server can fetch); ./run provides them. SCREENSHOTS=DIR keeps pictures.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';

const { chromium } = createRequire(new URL('../../web/package.json', import.meta.url))('playwright-core');

const base = process.env.BASE_URL;
const password = process.env.RAMET_ADMIN_PASSWORD;
const imageUrl = process.env.IMAGE_URL;
assert.ok(base && password && imageUrl, 'set BASE_URL, RAMET_ADMIN_PASSWORD and IMAGE_URL, or start ./run');

const kPage = '/explorer/CloneVmInstance';
const kCloneFields = [
  'strategy',
  'names',
  'full',
  'primaryStorageUuidForRootVolume',
  'primaryStorageUuidForDataVolume',
  'rootVolumeSystemTags',
  'dataVolumeSystemTags',
  'clusterUuid',
  'hostUuid',
  'vmNicParams',
  'systemTags',
  'userTags',
];
const kRequired = ['vmInstanceUuid', 'clonevminstance', 'names'];
const kLists = ['names', 'rootVolumeSystemTags', 'dataVolumeSystemTags', 'vmNicParams', 'systemTags', 'userTags'];
const typeOf = (name) => (name === 'clonevminstance' ? 'Object' : name === 'full' ? 'Boolean' : kLists.includes(name) ? 'List' : 'String');

let session;
let vm;
let browser;
let context;
let page;
const faults = [];

async function api(method, path, body) {
  const headers = { 'Content-Type': 'application/json', ...(session ? { Authorization: `OAuth ${session}` } : {}) };
  const response = await fetch(`${base}/zstack/v1${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
  const text = await response.text();
  assert.equal(response.status, 200, `${method} ${path}: ${text}`);
  return JSON.parse(text);
}

const sha512 = (text) => createHash('sha512').update(text).digest('hex');
const inventories = async (path) => (await api('GET', path)).inventories;

async function makeVm() {
  const hash = sha512(password);
  session = (await api('PUT', '/accounts/login', { logInByAccount: { accountName: 'admin', password: hash } })).inventory.uuid;
  const [storage] = await inventories('/backup-storage');
  const [network] = await inventories('/l3-networks');
  const image = { name: 'empty', url: imageUrl, format: 'qcow2', platform: 'Linux', backupStorageUuids: [storage.uuid] };
  const imageUuid = (await api('POST', '/images', { params: image })).inventory.uuid;
  const params = { name: 'source', cpuNum: 1, memorySize: 64 << 20, imageUuid, l3NetworkUuids: [network.uuid], strategy: 'CreateStopped' };
  vm = (await api('POST', '/vm-instances', { params })).inventory.uuid;
}

// Everything a call could leave behind, as one text to compare.
async function world() {
  const rows = [];
  for (const kind of ['vm-instances', 'volumes', 'images']) rows.push(await inventories(`/${kind}`));
  return JSON.stringify(rows);
}

function watch(target) {
  target.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  target.on('console', (message) => {
    // The browser reports every refused call; calls that the server refuses are part of these tests.
    const refused = message.text().startsWith('Failed to load resource') && message.location().url.startsWith(`${base}/zstack/`);
    if ((message.type() === 'error' || message.type() === 'warning') && !refused) faults.push(`console: ${message.text()}`);
  });
  target.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(base).origin) faults.push(`request to another host: ${request.url()}`);
  });
}

const picture = async (name) => {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png`, fullPage: true });
};
const visible = (locator) => locator.waitFor({ state: 'visible', timeout: 10_000 });
const fill = (label, value) => page.locator(`form[aria-label="Request"] [name="${label}"]`).fill(value);
const outcome = () => page.locator('.outcome');
const button = (name) => page.getByRole('button', { name, exact: true });

async function sendMock() {
  await button('Send mock request').click();
  await visible(outcome().locator('.status'));
  return { status: Number(await outcome().locator('.status strong').textContent()), body: await outcome().locator('pre').textContent() };
}

async function openClonePage() {
  await page.goto(base + kPage);
  await visible(page.getByRole('heading', { level: 1, name: /CloneVmInstance/ }));
}

async function logIn(secret, account = 'admin') {
  await page.getByLabel('Account').fill(account);
  await page.getByLabel('Password').fill(secret);
  await button('Log in').click();
}

before(async () => {
  await makeVm();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  page = await context.newPage();
  watch(page);
});

after(async () => {
  await browser?.close();
});

describe('explorer', { timeout: 180_000 }, () => {
  test('the start page leads to the explorer, where searching finds CloneVmInstance', async () => {
    await page.goto(base);
    await page.getByRole('navigation', { name: 'Site' }).getByRole('link', { name: 'API explorer' }).click();
    await visible(page.getByRole('heading', { level: 1, name: 'API explorer' }));
    assert.ok((await page.getByRole('navigation', { name: 'APIs' }).getByRole('link').count()) > 100);
    await picture('list');
    await page.getByRole('searchbox', { name: 'Search APIs' }).fill('clone vm put');
    await page.getByRole('link', { name: /CloneVmInstance/ }).click();
    await visible(page.getByRole('heading', { level: 1, name: /CloneVmInstance/ }));
    assert.equal(new URL(page.url()).pathname, kPage);
    assert.match(await page.title(), /CloneVmInstance/);
  });

  test('CloneVmInstance has everything that its public page has', async () => {
    await openClonePage();
    const whole = await page.locator('main').innerText();
    for (const text of ['Resource Center', 'Resource Pool', 'VM Instance Operations', 'PUT', 'Since 0.6', 'Auth Required']) {
      assert.ok(whole.includes(text), `missing: ${text}`);
    }
    assert.match(whole, /Synchronous|Asynchronous/);
    const headings = await page.locator('main h2, main h3').allInnerTexts();
    for (const title of [
      'Execution Availability',
      'Try It Out',
      'Request Inputs',
      'Path Parameters',
      'Body Fields',
      'Responses',
      'Endpoint',
      'Request Example',
      'Response Example',
      'Change History',
    ]) {
      assert.ok(headings.includes(title), `missing section: ${title}`);
    }
    const row = (table, name) =>
      page
        .getByRole('table', { name: table })
        .locator('tbody tr')
        .filter({ has: page.getByRole('rowheader', { name: new RegExp(`^${name}$`, 'i') }) });
    for (const [table, name] of [
      ['Path Parameters', 'vmInstanceUuid'],
      ['Body Fields', 'clonevminstance'],
      ...kCloneFields.map((field) => ['Body Fields', field]),
    ]) {
      const cells = await row(table, name).locator('td').allInnerTexts();
      assert.equal(cells.length, 3, `no row for ${name}`);
      assert.equal(cells[0], typeOf(name), `type of ${name}`);
      assert.equal(cells[1], kRequired.includes(name) ? 'Required' : 'Optional', `${name} required?`);
      assert.ok(cells[2].length > 3, `no description of ${name}`);
    }
    assert.ok(whole.includes('/zstack/v1/vm-instances/{vmInstanceUuid}/actions'));
    assert.match(
      whole,
      /curl -X PUT 'http:\/\/\{host\}\/zstack\/v1\/vm-instances\/\{vmInstanceUuid\}\/actions' -H 'Authorization: OAuth \{sessionUuid\}'/,
    );
    assert.equal(JSON.parse(await page.getByRole('region', { name: 'response example' }).textContent()).result.numberOfClonedVm, 1);
    for (const field of ['numberOfClonedVm', 'inventories', 'lastHostUuid', 'error']) {
      assert.ok((await page.locator('.schema code', { hasText: new RegExp(`^${field}$`) }).count()) > 0, `no response field ${field}`);
    }
    await picture('clone');
  });

  test('without a login nothing can be sent, and a wrong password says so', async () => {
    await openClonePage();
    assert.match(await page.locator('.availability').innerText(), /not logged in/);
    assert.ok(await button('Send mock request').isDisabled());
    assert.ok(await button('Send real request').isDisabled());
    await logIn(`${password}x`);
    await visible(page.getByRole('alert'));
    await logIn(password);
    await visible(button('Log out'));
    assert.match(await page.locator('.availability').innerText(), /admin may run this/);
  });

  test('a mock request is answered from the example and changes nothing', async () => {
    await openClonePage();
    const before = await world();
    const example = JSON.parse(await page.getByRole('region', { name: 'response example' }).textContent());
    await fill('vmInstanceUuid', vm);
    const { status, body } = await sendMock();
    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(body), example);
    assert.match(await outcome().innerText(), /mock/);
    assert.equal(await world(), before);
    await picture('mock');
  });

  test('existing VMs are offered for the path parameter', async () => {
    await openClonePage();
    await page.locator(`datalist option[value="${vm}"]`).waitFor({ state: 'attached', timeout: 10_000 });
    assert.equal(await page.locator(`datalist option[value="${vm}"]`).getAttribute('label'), 'source');
  });

  test('a mock request is checked in full: no names, no such VM, no path parameter, broken JSON', async () => {
    await openClonePage();
    await fill('vmInstanceUuid', vm);
    await fill('names', '[]');
    const empty = await sendMock();
    assert.equal(empty.status, 503);
    assert.equal(JSON.parse(empty.body).error.code, 'SYS.1007');
    assert.match(empty.body, /names/);
    await fill('names', '["a"]');
    await fill('vmInstanceUuid', '0'.repeat(32));
    assert.equal(JSON.parse((await sendMock()).body).error.code, 'SYS.1003');
    await fill('vmInstanceUuid', '');
    await button('Send mock request').click();
    assert.match(await page.getByRole('alert').innerText(), /vmInstanceUuid/);
    await fill('vmInstanceUuid', vm);
    await fill('names', '["a"');
    await button('Send mock request').click();
    assert.match(await page.getByRole('alert').innerText(), /names must be a JSON list/);
  });

  test('the JSON view shows and takes the body, and the fields follow it', async () => {
    await openClonePage();
    await fill('vmInstanceUuid', vm);
    await button('JSON').click();
    const raw = page.getByLabel('Body as JSON');
    assert.deepEqual(Object.keys(JSON.parse(await raw.inputValue())), ['cloneVmInstance']);
    await raw.fill('{"clonevminstance":{"names":["x","y"]}}');
    assert.equal((await sendMock()).status, 200);
    await raw.fill('{"cloneVmInstance":{"names":["x","y"]}}');
    await button('Fields').click();
    assert.equal(await page.locator('form[aria-label="Request"] [name="names"]').inputValue(), '["x","y"]');
  });

  test('a real request is sent after a confirmation only', async () => {
    await openClonePage();
    await fill('vmInstanceUuid', vm);
    await fill('names', '["copy"]');
    await page.locator('form[aria-label="Request"] [name="strategy"]').selectOption('CreateStopped');
    const before = await world();
    await button('Send real request').click();
    const dialog = page.getByRole('dialog');
    await visible(dialog);
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await dialog.waitFor({ state: 'detached' });
    assert.equal(await world(), before);
    await button('Send real request').click();
    await dialog.getByRole('button', { name: 'Send', exact: true }).click();
    await visible(outcome().locator('.status'));
    assert.equal(await outcome().locator('.status strong').textContent(), '200');
    assert.deepEqual(
      (await inventories('/vm-instances?sort=name')).map((row) => row.name),
      ['copy', 'source'],
    );
  });

  test('a 202 is followed to the end of its job', async () => {
    await openClonePage();
    let polls = 0;
    const call = '**/zstack/v1/vm-instances/*/actions';
    const job = '**/zstack/v1/api-jobs/*';
    await page.route(call, (route) => route.fulfill({ status: 202, json: { location: 'http://elsewhere.invalid/zstack/v1/api-jobs/17' } }));
    await page.route(job, (route) =>
      route.fulfill(++polls < 3 ? { status: 202, json: {} } : { status: 200, json: { result: { numberOfClonedVm: 9 } } }),
    );
    await fill('vmInstanceUuid', vm);
    await button('Send real request').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Send', exact: true }).click();
    await visible(outcome().locator('.status'));
    assert.match(await outcome().locator('pre').textContent(), /"numberOfClonedVm": 9/);
    assert.equal(polls, 3);
    await page.unroute(call);
    await page.unroute(job);
  });

  test('a query runs for real without a question, in both of its forms', async () => {
    await page.goto(`${base}/explorer/QueryVmInstance`);
    await fill('q', 'name=source');
    await button('Send real request').click();
    await visible(outcome().locator('.status'));
    assert.deepEqual(
      JSON.parse(await outcome().locator('pre').textContent()).inventories.map((row) => row.uuid),
      [vm],
    );
    await page.getByRole('radio', { name: /One, by its uuid/ }).check();
    await fill('uuid', vm);
    await button('Send real request').click();
    await visible(outcome().locator('.status'));
    assert.deepEqual(
      JSON.parse(await outcome().locator('pre').textContent()).inventories.map((row) => row.name),
      ['source'],
    );
  });

  test('a narrow screen shows the page without scrolling sideways', async () => {
    await page.setViewportSize({ width: 390, height: 800 });
    await page.emulateMedia({ colorScheme: 'dark' });
    await openClonePage();
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 390);
    await picture('narrow-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  test('every API has a page', async () => {
    await page.goto(`${base}/explorer`);
    const links = page.getByRole('navigation', { name: 'APIs' }).getByRole('link');
    await visible(links.first());
    const places = await links.evaluateAll((all) => all.map((link) => link.getAttribute('href')));
    await openClonePage();
    const wrong = await page.evaluate(async (all) => {
      const title = () => document.querySelector('main h1')?.textContent ?? '';
      const missing = [];
      for (const href of all) {
        document.querySelector(`aside a[href="${href}"]`).click();
        const name = href.split('/').pop();
        const deadline = performance.now() + 5000;
        while (!title().endsWith(` ${name}`) && performance.now() < deadline) await new Promise(requestAnimationFrame);
        const sections = [...document.querySelectorAll('main h2')].map((heading) => heading.textContent);
        if (!title().endsWith(` ${name}`) || !sections.includes('Change History')) missing.push(name);
      }
      return missing;
    }, places);
    assert.deepEqual(wrong, []);
    await page.goto(`${base}/explorer/NoSuchApi`);
    await visible(page.getByRole('heading', { level: 1, name: /No API is called NoSuchApi/ }));
  });

  test('logging out ends the session', async () => {
    await openClonePage();
    await button('Log out').click();
    await visible(button('Log in'));
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  });

  test('an ordinary account is told what only administrators may run', async () => {
    await api('POST', '/accounts', { params: { name: 'alice', password: sha512('wonder') } });
    await page.goto(`${base}/explorer/CreateZone`);
    assert.match(await page.locator('.availability').innerText(), /Only administrators/);
    await logIn('wonder', 'alice');
    await visible(button('Log out'));
    assert.match(await page.locator('.availability').innerText(), /Only administrators may run this; account alice is none/);
    const denied = await sendMock();
    assert.equal(denied.status, 503);
    assert.equal(JSON.parse(denied.body).error.code, 'ID.1002');
    await openClonePage();
    assert.match(await page.locator('.availability').innerText(), /resources of its own/);
  });

  test('no page raised an error or asked another host for anything', () => assert.deepEqual(faults, []));
});
