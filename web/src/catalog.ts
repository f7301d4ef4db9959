// The API as the explorer shows it, read from /openapi.json. The only place that knows the shape of that document.

export interface Field {
  name: string;
  type: string; // String, Long, Integer, Boolean, Date, Object, List
  required: boolean;
  doc: string;
  default?: string;
  example?: string;
  values: string[];
  since?: string;
}

export interface Schema {
  type?: string;
  description?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  enum?: string[];
  $ref?: string;
}

export interface Answer {
  status: string;
  description: string;
  schema?: Schema;
}

// One method and path; most APIs have one, a query has two (the list and one row).
export interface Endpoint {
  method: string; // GET, POST, PUT, DELETE
  path: string; // with the base: /zstack/v1/vm-instances/{uuid}
  byUuid: boolean;
  pathParameters: Field[];
  bodyFields: Field[]; // sent as URL parameters when bodyKey is empty
  bodyKey: string;
  curl: string;
  requestExample: string;
  responseExample: string;
  answers: Answer[];
}

export interface Api {
  name: string;
  category: string; // "Resource Center/Resource Pool/VM Instance Operations"
  doc: string;
  since: string;
  synchronous: boolean;
  authRequired: boolean;
  adminOnly: boolean;
  history: { version: string; what: string }[];
  endpoints: Endpoint[]; // never empty
}

export interface Catalog {
  version: string;
  base: string; // "/zstack/v1"
  apis: Api[];
  schemas: Record<string, Schema>;
}

type Loose = Record<string, unknown>;

const object = (value: unknown): Loose => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Loose) : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const flag = (value: unknown): boolean => value === true;

function readField(value: unknown): Field {
  const row = object(value);
  const field: Field = {
    name: text(row['name']),
    type: text(row['type']),
    required: flag(row['required']),
    doc: text(row['doc']),
    values: list(row['values']).map(text),
  };
  for (const key of ['default', 'example', 'since'] as const) {
    if (typeof row[key] === 'string') field[key] = row[key];
  }
  return field;
}

function readAnswers(responses: Loose, components: Loose): Answer[] {
  const shared = object(components['responses']);
  return Object.entries(responses).map(([status, value]) => {
    const reference = text(object(value)['$ref']);
    const response = reference === '' ? object(value) : object(shared[lastPart(reference)]);
    const schema = object(object(response['content'])['application/json'])['schema'] as Schema | undefined;
    return { status, description: text(response['description']), ...(schema ? { schema } : {}) };
  });
}

export function readCatalog(document: unknown): Catalog {
  const root = object(document);
  const components = object(root['components']);
  const base = text(object(list(root['servers'])[0])['url']);
  const apis = new Map<string, Api>();
  for (const [listed, methods] of Object.entries(object(root['paths']))) {
    // Calls that share path and method are told apart by a fragment, which is never sent.
    const path = base + listed.replace(/#.*$/, '');
    for (const [method, value] of Object.entries(object(methods))) {
      const operation = object(value);
      const x = object(operation['x-ramet']);
      const name = text(x['name']);
      if (name === '') continue;
      const endpoint: Endpoint = {
        method: method.toUpperCase(),
        path,
        byUuid: flag(x['byUuid']),
        pathParameters: list(x['pathParameters']).map(readField),
        bodyFields: list(x['bodyFields']).map(readField),
        bodyKey: text(x['bodyKey']),
        curl: text(x['curl']),
        requestExample: text(x['requestExample']),
        responseExample: text(x['responseExample']),
        answers: readAnswers(object(operation['responses']), components),
      };
      const known = apis.get(name);
      if (known) {
        known.endpoints.push(endpoint);
        continue;
      }
      apis.set(name, {
        name,
        category: text(x['category']),
        doc: text(operation['description']),
        since: text(x['since']),
        synchronous: flag(x['synchronous']),
        authRequired: flag(x['authRequired']),
        adminOnly: flag(x['adminOnly']),
        history: list(x['history']).map((entry) => ({ version: text(object(entry)['version']), what: text(object(entry)['what']) })),
        endpoints: [endpoint],
      });
    }
  }
  return {
    version: text(object(root['info'])['version']),
    base,
    apis: [...apis.values()],
    schemas: object(components['schemas']) as Record<string, Schema>,
  };
}

export function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export interface Category {
  path: string;
  apis: Api[];
}

// Every word must occur in name, description, path or category; categories keep the document's order.
export function search(apis: Api[], query: string): Category[] {
  const words = query
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const categories = new Map<string, Api[]>();
  for (const api of apis) {
    const hay = [api.name, api.doc, api.category, ...api.endpoints.map((endpoint) => `${endpoint.method} ${endpoint.path}`)]
      .join('\n')
      .toLowerCase();
    if (!words.every((word) => hay.includes(word))) continue;
    const found = categories.get(api.category);
    if (found) found.push(api);
    else categories.set(api.category, [api]);
  }
  return [...categories].map(([path, members]) => ({ path, apis: members }));
}

// What a caller finds under `schema`: the named type's own members, and its name to stop at types that contain themselves.
export function resolve(schema: Schema, schemas: Record<string, Schema>): { schema: Schema; typeName?: string } {
  if (schema.$ref === undefined) return { schema };
  const typeName = lastPart(schema.$ref);
  return { schema: schemas[typeName] ?? {}, typeName };
}

// The path that lists what a path variable stands for: /vm-instances for /vm-instances/{vmInstanceUuid}/actions, if there is a query.
export function listPathOf(catalog: Catalog, endpoint: Endpoint, variable: string): string | undefined {
  const at = endpoint.path.indexOf(`/{${variable}}`);
  if (at < 0) return undefined;
  const prefix = endpoint.path.slice(0, at);
  const exists = catalog.apis.some(
    (api) => api.name.startsWith('Query') && api.endpoints.some((other) => other.method === 'GET' && other.path === prefix),
  );
  return exists && !prefix.includes('{') ? prefix : undefined;
}
