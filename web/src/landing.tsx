import { Link, useTitle } from './router';

export function Landing() {
  useTitle('ramet');
  return (
    <>
      <h1 tabIndex={-1}>ramet clones virtual machines</h1>
      <p class="lead">
        One call, many clones: each with a name, addresses and an identity of its own, and nothing left behind when something fails. It
        speaks ZStack’s REST API, so its SDKs and tools can talk to this server.
      </p>
      <ul class="cards">
        <li>
          <Link href="/explorer">API explorer</Link>
          <p>Every API of this server: what it takes, what it answers, and a form to try it.</p>
        </li>
        <li>
          <Link href="/explorer/CloneVmInstance">CloneVmInstance</Link>
          <p>The one it is all about.</p>
        </li>
        <li>
          <a href="/openapi.json">openapi.json</a>
          <p>The same description for programs, OpenAPI 3.1.</p>
        </li>
        <li>
          <a href="/healthz">healthz</a> · <a href="/metrics">metrics</a>
          <p>For monitoring; metrics in Prometheus’ text format.</p>
        </li>
      </ul>
    </>
  );
}
