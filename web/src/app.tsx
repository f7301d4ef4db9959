import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';

import { ApiList } from './api_list';
import { ApiPage } from './api_page';
import { readCatalog } from './catalog';
import type { Catalog } from './catalog';
import { isOpen, storeLogin, storedLogin } from './client';
import type { Login } from './client';
import { Landing } from './landing';
import { Link, usePath } from './router';
import { LoginContext } from './session';

function useCatalog(): { catalog?: Catalog; problem?: string } {
  const [state, setState] = useState<{ catalog?: Catalog; problem?: string }>({});
  useEffect(() => {
    fetch('/openapi.json')
      .then(async (response) => {
        if (!response.ok) throw new Error(`/openapi.json answered ${response.status}`);
        setState({ catalog: readCatalog(await response.json()) });
      })
      .catch((error: unknown) => setState({ problem: error instanceof Error ? error.message : String(error) }));
  }, []);
  return state;
}

function useLogin() {
  const [login, setLogin] = useState<Login | undefined>(storedLogin);
  const change = (next: Login | undefined) => {
    storeLogin(next);
    setLogin(next);
  };
  useEffect(() => {
    // What the last page left may have expired meanwhile. An unreachable server proves nothing.
    if (login)
      isOpen(login).then(
        (open) => open || change(undefined),
        () => undefined,
      );
  }, []);
  return useMemo(() => ({ login, setLogin: change }), [login]);
}

function Frame({ children, version }: { children: ComponentChildren; version?: string | undefined }) {
  const skip = (event: Event) => {
    event.preventDefault(); // "#main" in the address would look like a page of its own
    document.getElementById('main')?.focus();
  };
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to content
      </a>
      <header class="bar">
        <Link href="/" class="brand">
          ramet
        </Link>
        <nav aria-label="Site">
          <Link href="/explorer">API explorer</Link>
          <a href="/openapi.json">openapi.json</a>
        </nav>
        {version !== undefined && <span class="version">{version}</span>}
      </header>
      {children}
    </>
  );
}

export function App() {
  const path = usePath();
  const login = useLogin();
  const { catalog, problem } = useCatalog();
  const [query, setQuery] = useState('');
  // API names are plain words: what is percent-encoded is none of them.
  const name = path.startsWith('/explorer/') ? path.slice('/explorer/'.length).replace(/\/$/, '') : '';

  const page = () => {
    if (!path.startsWith('/explorer')) return <Landing />;
    if (problem !== undefined)
      return <p class="problem">The description of the API could not be loaded: {problem}. Is the server running?</p>;
    if (!catalog) return <p aria-busy="true">Loading…</p>;
    if (name === '') return <ApiList apis={catalog.apis} query={query} setQuery={setQuery} full />;
    const api = catalog.apis.find((one) => one.name.toLowerCase() === name.toLowerCase());
    if (api) return <ApiPage key={api.name} api={api} catalog={catalog} />;
    return (
      <>
        <h1 tabIndex={-1}>No API is called {name}</h1>
        <p>
          <Link href="/explorer">All APIs</Link>
        </p>
      </>
    );
  };

  return (
    <LoginContext.Provider value={login}>
      <Frame version={catalog?.version}>
        {name !== '' && catalog ? (
          <div class="columns">
            <aside>
              <ApiList apis={catalog.apis} query={query} setQuery={setQuery} current={name} />
            </aside>
            <main id="main" tabIndex={-1}>
              {page()}
            </main>
          </div>
        ) : (
          <main id="main" tabIndex={-1} class="single">
            {page()}
          </main>
        )}
      </Frame>
    </LoginContext.Provider>
  );
}
