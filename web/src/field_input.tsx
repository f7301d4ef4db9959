// The control that fits a field.
import type { Endpoint, Field } from './catalog';
import type { Choice } from './client';
import { exampleText, inUrl } from './request';

interface Props {
  endpoint: Endpoint;
  field: Field;
  inPath: boolean;
  value: string | undefined;
  set: (value: string | undefined) => void;
  wrong: boolean;
  choices?: Choice[] | undefined;
}

export function FieldInput(props: Props) {
  const { field, inPath } = props;
  const id = `${inPath ? 'path' : 'field'}-${field.name}`;
  return (
    <div class={`input ${field.type === 'Boolean' ? 'check' : ''}`}>
      <label for={id}>
        <code>{field.name}</code>
        {field.required && (
          <span class="star" title="Required">
            {' '}
            *
          </span>
        )}
      </label>
      <Control {...props} id={id} />
    </div>
  );
}

function Control({ endpoint, field, inPath, value, set, wrong, choices, id }: Props & { id: string }) {
  const shared = { id, name: field.name, title: field.doc, 'aria-invalid': wrong, 'aria-required': field.required };
  const placeholder = exampleText(endpoint, field) || (field.default !== undefined ? `${field.default} if left out` : '');
  if (field.values.length > 0 && field.type !== 'List') {
    return (
      <select {...shared} value={value ?? ''} onChange={(event) => set(event.currentTarget.value)}>
        <option value="">{field.default === undefined ? '(left out)' : `(left out: ${field.default})`}</option>
        {field.values.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    );
  }
  if (field.type === 'Boolean') {
    return (
      <input
        {...shared}
        type="checkbox"
        checked={(value ?? field.default) === 'true'}
        onChange={(event) => set(String(event.currentTarget.checked))}
      />
    );
  }
  if (field.type === 'List' || field.type === 'Object') {
    const hint = inUrl(endpoint) ? 'one per line' : field.type === 'List' ? '["…"]' : '{"…": …}';
    return (
      <textarea
        {...shared}
        rows={2}
        spellcheck={false}
        value={value ?? ''}
        placeholder={placeholder || hint}
        onInput={(event) => set(event.currentTarget.value)}
      />
    );
  }
  const numeric = field.type === 'Long' || field.type === 'Integer';
  const listId = `${id}-choices`;
  return (
    <>
      <input
        {...shared}
        type={numeric ? 'number' : 'text'}
        {...(numeric ? { step: 1 } : {})}
        autocomplete="off"
        spellcheck={false}
        value={value ?? ''}
        placeholder={placeholder || (inPath ? 'required' : '')}
        {...(choices ? { list: listId } : {})}
        onInput={(event) => set(event.currentTarget.value)}
      />
      {choices && (
        <datalist id={listId}>
          {choices.map((choice) => (
            <option key={choice.uuid} value={choice.uuid} label={choice.name} />
          ))}
        </datalist>
      )}
    </>
  );
}
