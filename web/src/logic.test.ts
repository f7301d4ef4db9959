// What the pages rest on: reading the description, building requests, laying out JSON. Run by `npm test`.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { listPathOf, readCatalog, search } from './catalog';
import type { Endpoint } from './catalog';
import { passwordHash } from './client';
import { prettyJson } from './json_text';
import { bodyOf, exampleInputs, inputsOf, prepare } from './request';

const row = (name: string, type: string, more: object = {}) => ({ name, type, required: false, doc: `${name}.`, ...more });

const kOpen = {
  name: 'OpenBox',
  category: 'Store/Boxes',
  since: '0.6',
  synchronous: false,
  authRequired: true,
  adminOnly: false,
  bodyKey: 'openBox',
  curl: 'curl',
  requestExample: '{"openBox":{"names":["a"],"wide":false},"systemTags":[],"userTags":[]}',
  responseExample: '{}',
  history: [{ version: '0.7', what: 'wide was added' }],
  pathParameters: [row('uuid', 'String', { required: true })],
  bodyFields: [
    row('names', 'List', { required: true, example: 'b' }),
    row('size', 'Long', { required: true, example: '7' }),
    row('wide', 'Boolean', { default: 'false' }),
    row('mode', 'String', { values: ['Soft', 'Hard'], example: 'Soft' }),
    row('systemTags', 'List'),
  ],
};
const kList = {
  ...kOpen,
  name: 'QueryBox',
  bodyKey: '',
  requestExample: '',
  pathParameters: [],
  bodyFields: [row('q', 'List'), row('limit', 'Integer')],
};

const document = {
  info: { version: '1.2' },
  servers: [{ url: '/api' }],
  paths: {
    '/boxes/{uuid}/actions#openBox': {
      put: {
        description: 'Opens.',
        'x-ramet': kOpen,
        responses: { 200: { description: 'Done.' }, 400: { $ref: '#/components/responses/Malformed' } },
      },
    },
    '/boxes': { get: { description: 'Lists.', 'x-ramet': kList, responses: {} } },
    '/boxes/{uuid}': {
      get: { description: 'Lists.', 'x-ramet': { ...kList, byUuid: true, pathParameters: [row('uuid', 'String')], bodyFields: [] } },
    },
  },
  components: { responses: { Malformed: { description: 'Unreadable.' } } },
};

const catalog = readCatalog(document);
const open = catalog.apis[0]!.endpoints[0] as Endpoint;
const query = catalog.apis[1]!.endpoints[0] as Endpoint;

test('a fragment is not part of the path, and both forms of a query are one API', () => {
  assert.deepEqual(
    catalog.apis.map((api) => [api.name, api.endpoints.map((endpoint) => endpoint.path)]),
    [
      ['OpenBox', ['/api/boxes/{uuid}/actions']],
      ['QueryBox', ['/api/boxes', '/api/boxes/{uuid}']],
    ],
  );
  assert.equal(open.answers.find((answer) => answer.status === '400')?.description, 'Unreadable.');
  assert.equal(listPathOf(catalog, open, 'uuid'), '/api/boxes');
});

test('a document of another shape gives an empty catalog, not an exception', () => {
  for (const odd of [null, 3, [], {}, { paths: { '/x': { get: null } } }]) assert.deepEqual(readCatalog(odd).apis, []);
});

test('searching wants every word, anywhere', () => {
  assert.deepEqual(
    search(catalog.apis, 'put BOX').flatMap((category) => category.apis.map((api) => api.name)),
    ['OpenBox'],
  );
  assert.deepEqual(search(catalog.apis, 'box nonsense'), []);
  assert.equal(search(catalog.apis, '')[0]?.apis.length, 2);
});

test('the form starts with the documented request and fills required gaps', () => {
  assert.deepEqual(exampleInputs(open), { names: '["a"]', wide: 'false', size: '7' });
});

test('fields become typed members, tags stand beside the key, blanks are left out', () => {
  const body = bodyOf(open, { names: '["x"]', size: '12', wide: 'true', mode: '', systemTags: '["t"]' });
  assert.ok(body.ok);
  assert.deepEqual(JSON.parse(body.value), { openBox: { names: ['x'], size: 12, wide: true }, systemTags: ['t'] });
  assert.deepEqual(inputsOf(open, body.value), { names: '["x"]', size: '12', wide: 'true', systemTags: '["t"]' });
});

test('what is no number is left to the server to judge', () => {
  const body = bodyOf(open, { size: '9007199254740993' });
  assert.ok(body.ok && body.value.includes('"9007199254740993"'));
});

test('a broken list and an empty path parameter are named', () => {
  assert.deepEqual(
    [bodyOf(open, { names: '[' })].map((got) => !got.ok && got.field),
    ['names'],
  );
  assert.deepEqual(
    [prepare(open, {})].map((got) => !got.ok && got.field),
    ['uuid'],
  );
});

test('the raw body goes out as it was typed; the path is encoded', () => {
  const prepared = prepare(open, { uuid: 'a/b' }, '{ "x"');
  assert.deepEqual(prepared.ok && prepared.value, { method: 'PUT', url: '/api/boxes/a%2Fb/actions', body: '{ "x"' });
});

test('conditions of a query are repeated parameters', () => {
  const prepared = prepare(query, { q: 'name=a\nsize>3\n', limit: '5' });
  assert.equal(prepared.ok && prepared.value.url, '/api/boxes?q=name%3Da&q=size%3E3&limit=5');
});

test('laid-out JSON keeps numbers, strings and order as they came', () => {
  const source = '{"b":12345678901234567890,"a":[],"s":"a\\"{,}","o":{ },"l":[1,{"x":null}]}';
  const pretty = prettyJson(source);
  assert.equal(pretty.replace(/\n\s*/g, '').replaceAll(': ', ':'), source.replace('{ }', '{}'));
  assert.equal(prettyJson('{"a":[1]}'), '{\n  "a": [\n    1\n  ]\n}');
  assert.equal(prettyJson('not json'), 'not json');
});

test('the password is hashed as the server expects it', () => {
  const abc =
    'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f';
  assert.equal(passwordHash('abc'), abc);
});
