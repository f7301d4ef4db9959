// Tables of what goes in and the tree of what comes out.
import { useState } from 'preact/hooks';

import { resolve } from './catalog';
import type { Field, Schema } from './catalog';

export function FieldTable({ fields, label }: { fields: Field[]; label: string }) {
  return (
    <table class="fields" aria-label={label}>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Type</th>
          <th scope="col">Required</th>
          <th scope="col">Description</th>
        </tr>
      </thead>
      <tbody>
        {fields.map((field) => (
          <tr key={field.name}>
            <th scope="row">
              <code>{field.name}</code>
            </th>
            <td>{field.type}</td>
            <td>
              <span class={field.required ? 'required' : 'optional'}>{field.required ? 'Required' : 'Optional'}</span>
            </td>
            <td>
              {field.doc}
              <Rules field={field} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Rules({ field }: { field: Field }) {
  const since = field.since !== undefined;
  if (field.values.length === 0 && field.default === undefined && !since) return null;
  return (
    <span class="rules">
      {field.values.length > 0 && <span>One of: {field.values.join(', ')}.</span>}
      {field.default !== undefined && (
        <span>
          Default: <code>{field.default}</code>.
        </span>
      )}
      {since && <span>Since {field.since}.</span>}
    </span>
  );
}

function typeWord(schema: Schema, schemas: Record<string, Schema>): string {
  if (schema.type === 'array' && schema.items) return `List of ${typeWord(schema.items, schemas)}`;
  const { schema: target, typeName } = resolve(schema, schemas);
  if (typeName !== undefined) return typeName;
  const words: Record<string, string> = {
    string: 'String',
    integer: 'Long',
    boolean: 'Boolean',
    object: 'Object',
    number: 'Double',
    array: 'List',
  };
  return words[target.type ?? ''] ?? 'Object';
}

interface NodeProps {
  name: string;
  schema: Schema;
  schemas: Record<string, Schema>;
  above: string[]; // the types around this one; a type inside itself is named but not opened again
}

function membersOf(schema: Schema, schemas: Record<string, Schema>): { members: [string, Schema][]; typeName: string | undefined } {
  const { schema: target, typeName } = resolve(schema.type === 'array' && schema.items ? schema.items : schema, schemas);
  return { members: Object.entries(target.properties ?? {}), typeName };
}

function SchemaNode({ name, schema, schemas, above }: NodeProps) {
  const { members, typeName } = membersOf(schema, schemas);
  const repeats = typeName !== undefined && above.includes(typeName);
  // Members below the third level are many and rarely looked at; what is closed is not even made.
  const [open, setOpen] = useState(above.length < 3);
  const values = (schema.items ?? schema).enum ?? [];
  const head = (
    <>
      <code>{name}</code> <span class="type">{typeWord(schema, schemas)}</span>{' '}
      <span class="doc">
        {schema.description}
        {values.length > 0 && ` One of: ${values.join(', ')}.`}
      </span>
    </>
  );
  if (members.length === 0 || repeats) return <li>{head}</li>;
  return (
    <li>
      <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{head}</summary>
        {open && (
          <ul>
            {members.map(([member, inner]) => (
              <SchemaNode key={member} name={member} schema={inner} schemas={schemas} above={[...above, typeName ?? '']} />
            ))}
          </ul>
        )}
      </details>
    </li>
  );
}

export function SchemaTree({ schema, schemas }: { schema: Schema; schemas: Record<string, Schema> }) {
  const { members } = membersOf(schema, schemas);
  if (members.length === 0) return <p>An empty object.</p>;
  return (
    <ul class="schema">
      {members.map(([name, inner]) => (
        <SchemaNode key={name} name={name} schema={inner} schemas={schemas} above={[]} />
      ))}
    </ul>
  );
}
