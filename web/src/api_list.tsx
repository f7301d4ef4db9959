import { useEffect, useRef } from 'preact/hooks';

import { search } from './catalog';
import type { Api } from './catalog';
import { Link, useTitle } from './router';
import { Method } from './widgets';

interface Props {
  apis: Api[];
  query: string;
  setQuery: (query: string) => void;
  full?: boolean; // the page itself, with descriptions; else the column beside a page
  current?: string;
}

function FullTitle({ count }: { count: number }) {
  useTitle('API explorer · ramet');
  return (
    <>
      <h1 tabIndex={-1}>API explorer</h1>
      <p class="lead">{count} APIs. Choose one to see its inputs and answers and to try it.</p>
    </>
  );
}

export function ApiList({ apis, query, setQuery, full, current }: Props) {
  const categories = search(apis, query);
  const found = categories.reduce((sum, category) => sum + category.apis.length, 0);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // The column scrolls by itself; the API that is shown should be in its view.
    const column = place.current?.parentElement;
    const link = place.current?.querySelector('[aria-current]');
    if (full || !column || !link) return;
    const [around, inside] = [column.getBoundingClientRect(), link.getBoundingClientRect()];
    if (inside.top < around.top || inside.bottom > around.bottom) column.scrollTop += inside.top - around.top - column.clientHeight / 3;
  }, [current]);
  return (
    <div ref={place} class={full ? 'api-list full' : 'api-list'}>
      {full && <FullTitle count={apis.length} />}
      <label class="search">
        <span>Search APIs</span>
        <input
          type="search"
          value={query}
          placeholder="clone, POST /volumes, snapshot…"
          onInput={(event) => setQuery(event.currentTarget.value)}
        />
      </label>
      <p class="count" role="status">
        {query.trim() === '' ? '' : found === 0 ? 'Nothing found: try fewer or shorter words.' : `${found} found`}
      </p>
      <nav aria-label="APIs">
        {categories.map((category) => (
          <section key={category.path}>
            <h2>{full ? category.path.split('/').join(' / ') : category.path.split('/').pop()}</h2>
            <ul>
              {category.apis.map((api) => (
                <li key={api.name}>
                  <Link href={`/explorer/${api.name}`} current={api.name.toLowerCase() === current?.toLowerCase()}>
                    {full && <Method method={api.endpoints[0]!.method} />} <span class="name">{api.name}</span>
                  </Link>
                  {full && <span class="doc">{api.doc}</span>}
                </li>
              ))}
            </ul>
          </section>
        ))}
      </nav>
    </div>
  );
}
