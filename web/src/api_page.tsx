// One page per API: everything its description says, and the form to try it.
import { useContext, useState } from 'preact/hooks';

import type { Api, Catalog, Endpoint, Field } from './catalog';
import { FieldTable, SchemaTree } from './fields';
import { prettyJson } from './json_text';
import { Link, useTitle } from './router';
import { LoginContext } from './session';
import { TryItOut } from './try_it_out';
import { Code, Method } from './widgets';

export function ApiPage({ api, catalog }: { api: Api; catalog: Catalog }) {
  useTitle(`${api.name} · ramet`);
  const [chosen, setChosen] = useState(0);
  const endpoint = api.endpoints[chosen] ?? api.endpoints[0]!;
  return (
    <article class="api">
      <Heading api={api} endpoint={endpoint} />
      <p class="lead">{api.doc}</p>
      {api.endpoints.length > 1 && <Forms endpoints={api.endpoints} chosen={chosen} choose={setChosen} />}
      <Availability api={api} />
      <TryItOut key={`try ${chosen}`} api={api} endpoint={endpoint} catalog={catalog} />
      <Inputs endpoint={endpoint} />
      <Responses api={api} endpoint={endpoint} catalog={catalog} />
      <Examples endpoint={endpoint} />
      <History api={api} />
    </article>
  );
}

function Heading({ api, endpoint }: { api: Api; endpoint: Endpoint }) {
  return (
    <>
      <nav aria-label="Breadcrumb" class="breadcrumb">
        <ol>
          <li>
            <Link href="/explorer">APIs</Link>
          </li>
          {api.category.split('/').map((part) => (
            <li key={part}>{part}</li>
          ))}
        </ol>
      </nav>
      <h1 tabIndex={-1}>
        <Method method={endpoint.method} /> {api.name}
      </h1>
      <ul class="badges">
        <li>Since {api.since}</li>
        <li>{api.synchronous ? 'Synchronous' : 'Asynchronous'}</li>
        <li>{api.authRequired ? 'Auth Required' : 'No Auth'}</li>
        {api.adminOnly && <li>Administrators only</li>}
      </ul>
    </>
  );
}

function Forms({ endpoints, chosen, choose }: { endpoints: Endpoint[]; chosen: number; choose: (index: number) => void }) {
  return (
    <fieldset class="forms">
      <legend>Forms</legend>
      {endpoints.map((endpoint, index) => (
        <label key={endpoint.path}>
          <input type="radio" name="form" checked={index === chosen} onChange={() => choose(index)} />{' '}
          {endpoint.byUuid ? 'One, by its uuid' : 'A list'} <code>{endpoint.path}</code>
        </label>
      ))}
    </fieldset>
  );
}

function Availability({ api }: { api: Api }) {
  const { login } = useContext(LoginContext);
  let state = 'open';
  let sentence = 'Anybody may run this; no login is needed.';
  if (api.authRequired && !login) {
    state = 'closed';
    sentence = api.adminOnly
      ? 'You are not logged in. Only administrators may run this.'
      : 'You are not logged in. Log in below to run this.';
  } else if (api.adminOnly && login && !login.admin) {
    state = 'closed';
    sentence = `Only administrators may run this; account ${login.account} is none.`;
  } else if (api.authRequired && login) {
    sentence = login.admin
      ? `Account ${login.account} may run this on every resource.`
      : `Account ${login.account} may run this on resources of its own or shared with it.`;
  }
  return (
    <section aria-labelledby="availability">
      <h2 id="availability">Execution Availability</h2>
      <p class={`availability ${state}`}>{sentence}</p>
    </section>
  );
}

function Inputs({ endpoint }: { endpoint: Endpoint }) {
  const wrapper: Field = {
    name: endpoint.bodyKey,
    type: 'Object',
    required: true,
    doc: 'The object that holds the fields below; systemTags and userTags stand beside it.',
    values: [],
  };
  const inBody = endpoint.bodyKey !== '';
  const tags = endpoint.bodyFields.some((field) => field.name === 'systemTags');
  const rows = inBody
    ? [tags ? wrapper : { ...wrapper, doc: 'The object that holds the fields below.' }, ...endpoint.bodyFields]
    : endpoint.bodyFields;
  return (
    <section aria-labelledby="inputs">
      <h2 id="inputs">Request Inputs</h2>
      <h3>Path Parameters</h3>
      {endpoint.pathParameters.length > 0 ? (
        <FieldTable fields={endpoint.pathParameters} label="Path Parameters" />
      ) : (
        <p class="none">None.</p>
      )}
      <h3>{inBody ? 'Body Fields' : 'URL Parameters'}</h3>
      {rows.length > 0 ? <FieldTable fields={rows} label={inBody ? 'Body Fields' : 'URL Parameters'} /> : <p class="none">None.</p>}
    </section>
  );
}

function Responses({ api, endpoint, catalog }: { api: Api; endpoint: Endpoint; catalog: Catalog }) {
  const done = endpoint.answers.find((answer) => answer.status === '200');
  const others = endpoint.answers.filter((answer) => answer !== done);
  return (
    <section aria-labelledby="responses">
      <h2 id="responses">Responses</h2>
      {!api.synchronous && (
        <p>
          This call runs as a job. A plain request is answered when the job ends, or with 202 and the job’s location when that takes too
          long; with <code>Prefer: respond-async</code>, <code>X-Job-UUID</code> or <code>X-Web-Hook</code> it is 202 at once.
        </p>
      )}
      <h3>200</h3>
      {done?.schema ? <SchemaTree schema={done.schema} schemas={catalog.schemas} /> : <p class="none">An empty object.</p>}
      <dl class="statuses">
        {others.map((answer) => (
          <div key={answer.status}>
            <dt>{answer.status}</dt>
            <dd>{answer.description}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Examples({ endpoint }: { endpoint: Endpoint }) {
  return (
    <section aria-labelledby="endpoint">
      <h2 id="endpoint">Endpoint</h2>
      <p class="endpoint">
        <Method method={endpoint.method} /> <code>{endpoint.path}</code>
      </p>
      <h2>Request Example</h2>
      <Code text={endpoint.curl} label="request example" />
      <h2>Response Example</h2>
      <h3>200</h3>
      <Code text={prettyJson(endpoint.responseExample || '{}')} label="response example" />
    </section>
  );
}

function History({ api }: { api: Api }) {
  return (
    <section aria-labelledby="history">
      <h2 id="history">Change History</h2>
      {api.history.length === 0 ? (
        <p class="none">Unchanged since {api.since}.</p>
      ) : (
        <ul>
          {api.history.map((change) => (
            <li key={change.version + change.what}>
              <strong>{change.version}</strong> {change.what}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
