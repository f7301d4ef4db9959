// The form that sends a call: as a mock, which the server checks in full and answers from the examples, or for real.
import { useContext, useEffect, useRef, useState } from 'preact/hooks';

import { listPathOf } from './catalog';
import type { Api, Catalog, Endpoint } from './catalog';
import { choices, sendMock, sendReal, sessionIsGone } from './client';
import type { Answered, Choice } from './client';
import { FieldInput } from './field_input';
import { prettyJson } from './json_text';
import { LoginForm } from './login_form';
import { bodyOf, exampleInputs, inUrl, inputsOf, prepare } from './request';
import type { Inputs, Prepared } from './request';
import { LoginContext } from './session';
import { Code } from './widgets';

interface Props {
  api: Api;
  endpoint: Endpoint;
  catalog: Catalog;
}

interface Problem {
  field: string;
  text: string;
}

// The call in progress and what came of the last one.
function useSending() {
  const { login, setLogin } = useContext(LoginContext);
  const [answer, setAnswer] = useState<Answered | undefined>();
  const [progress, setProgress] = useState('');
  const [failure, setFailure] = useState('');
  const running = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const send = async (prepared: Prepared, mock: boolean) => {
    running.current?.abort();
    const control = new AbortController();
    running.current = control;
    setAnswer(undefined);
    setFailure('');
    setProgress('Waiting for the answer…');
    try {
      const told = (path: string) => setProgress(`Accepted; waiting for the job at ${path}`);
      const got = mock ? await sendMock(prepared, login, control.signal) : await sendReal(prepared, login, control.signal, told);
      if (running.current !== control) return;
      setAnswer(got);
      if (login && sessionIsGone(got)) {
        setLogin(undefined);
        setFailure('The login has expired: log in again.');
      }
    } catch (error) {
      if (running.current !== control) return;
      const stopped = control.signal.aborted;
      setFailure(stopped ? 'No longer waiting. What was sent goes on in the server.' : `The request did not get through: ${String(error)}`);
    }
    setProgress('');
  };
  return { answer, progress, failure, send, stop: () => running.current?.abort() };
}

function useChoices({ endpoint, catalog }: Props): Record<string, Choice[]> {
  const { login } = useContext(LoginContext);
  const [found, setFound] = useState<Record<string, Choice[]>>({});
  useEffect(() => {
    if (!login) return setFound({});
    const control = new AbortController();
    for (const field of endpoint.pathParameters) {
      const path = listPathOf(catalog, endpoint, field.name);
      if (path === undefined) continue;
      void choices(path, login, control.signal).then(
        (rows) => control.signal.aborted || setFound((old) => ({ ...old, [field.name]: rows })),
      );
    }
    return () => control.abort();
  }, [login, endpoint]);
  return found;
}

export function TryItOut(props: Props) {
  const { api, endpoint } = props;
  const { login } = useContext(LoginContext);
  const [inputs, setInputs] = useState<Inputs>(() => exampleInputs(endpoint));
  const [raw, setRaw] = useState<string | undefined>(); // set: the JSON text is sent instead of the fields
  const [problem, setProblem] = useState<Problem | undefined>();
  const [asked, setAsked] = useState<Prepared | undefined>(); // waits for the user's confirmation
  const sending = useSending();
  const locked = api.authRequired && !login;

  const start = (mock: boolean) => {
    const prepared = prepare(endpoint, inputs, raw);
    setProblem(prepared.ok ? undefined : { field: prepared.field, text: prepared.problem });
    if (!prepared.ok) return;
    // Reading changes nothing, so it needs no second thought.
    if (mock || endpoint.method === 'GET') void sending.send(prepared.value, mock);
    else setAsked(prepared.value);
  };

  return (
    <section aria-labelledby="try" class="try">
      <h2 id="try">Try It Out</h2>
      <p>
        A mock request is checked in full, with your login, and answered from the examples: nothing changes. A real request does what it
        says.
      </p>
      <LoginForm />
      <form
        aria-label="Request"
        onSubmit={(event) => {
          event.preventDefault();
          start(true);
        }}
        noValidate
      >
        <RequestForm {...props} inputs={inputs} setInputs={setInputs} raw={raw} setRaw={setRaw} problem={problem} setProblem={setProblem} />
        {problem && (
          <p class="problem" role="alert">
            {problem.text}
          </p>
        )}
        <div class="buttons">
          <button type="submit" class="primary" disabled={locked}>
            Send mock request
          </button>
          <button type="button" disabled={locked} onClick={() => start(false)}>
            Send real request
          </button>
          {locked && <span class="hint">Log in first.</span>}
        </div>
      </form>
      {asked && (
        <Confirmation
          prepared={asked}
          decide={(yes) => {
            setAsked(undefined);
            if (yes) void sending.send(asked, false);
          }}
        />
      )}
      <Outcome sending={sending} />
    </section>
  );
}

interface FormProps extends Props {
  inputs: Inputs;
  setInputs: (inputs: Inputs) => void;
  raw: string | undefined;
  setRaw: (raw: string | undefined) => void;
  problem: Problem | undefined;
  setProblem: (problem: Problem | undefined) => void;
}

function RequestForm(props: FormProps) {
  const { endpoint, inputs, setInputs, raw, setRaw, problem, setProblem } = props;
  const known = useChoices(props);
  const set = (name: string) => (value: string | undefined) => setInputs({ ...inputs, [name]: value });
  const toJson = () => {
    const body = bodyOf(endpoint, inputs);
    setProblem(body.ok ? undefined : { field: body.field, text: body.problem });
    if (body.ok) setRaw(body.value);
  };
  const toFields = () => {
    try {
      const path = Object.fromEntries(endpoint.pathParameters.map((field) => [field.name, inputs[field.name]]));
      setInputs({ ...inputsOf(endpoint, raw ?? '{}'), ...path });
      setRaw(undefined);
      setProblem(undefined);
    } catch {
      setProblem({ field: '', text: 'The body is not JSON: mend it before going back to the fields.' });
    }
  };
  return (
    <>
      {endpoint.pathParameters.length > 0 && <h3>Path Parameters</h3>}
      {endpoint.pathParameters.map((field) => (
        <FieldInput
          key={field.name}
          endpoint={endpoint}
          field={field}
          inPath
          value={inputs[field.name]}
          set={set(field.name)}
          wrong={problem?.field === field.name}
          choices={known[field.name]}
        />
      ))}
      {!inUrl(endpoint) && (
        <div class="tabs" role="group" aria-label="How to edit the body">
          <button type="button" aria-pressed={raw === undefined} onClick={() => raw !== undefined && toFields()}>
            Fields
          </button>
          <button type="button" aria-pressed={raw !== undefined} onClick={() => raw === undefined && toJson()}>
            JSON
          </button>
        </div>
      )}
      {inUrl(endpoint) && endpoint.bodyFields.length > 0 && <h3>URL Parameters</h3>}
      {raw === undefined ? (
        <div class="inputs">
          {endpoint.bodyFields.map((field) => (
            <FieldInput
              key={field.name}
              endpoint={endpoint}
              field={field}
              inPath={false}
              value={inputs[field.name]}
              set={set(field.name)}
              wrong={problem?.field === field.name}
            />
          ))}
        </div>
      ) : (
        <textarea
          class="raw"
          aria-label="Body as JSON"
          rows={12}
          spellcheck={false}
          value={raw}
          onInput={(event) => setRaw(event.currentTarget.value)}
        />
      )}
    </>
  );
}

function Confirmation({ prepared, decide }: { prepared: Prepared; decide: (yes: boolean) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="confirm" onClose={() => decide(dialog.current?.returnValue === 'send')}>
      <h2 id="confirm">Send this for real?</h2>
      <p>
        <code>
          {prepared.method} {prepared.url}
        </code>
      </p>
      {prepared.body !== undefined && <Code text={prettyJson(prepared.body)} label="body" copy={false} />}
      <div class="buttons">
        <button type="button" class="danger" onClick={() => dialog.current?.close('send')}>
          Send
        </button>
        <button type="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
      </div>
    </dialog>
  );
}

function Outcome({ sending }: { sending: ReturnType<typeof useSending> }) {
  const { answer, progress, failure, stop } = sending;
  return (
    <div class="outcome" aria-live="polite">
      {progress !== '' && (
        <p>
          {progress}{' '}
          <button type="button" onClick={stop}>
            Stop waiting
          </button>
        </p>
      )}
      {failure !== '' && <p class="problem">{failure}</p>}
      {answer && (
        <>
          <p class="status">
            <strong class={answer.status < 300 ? 'good' : 'bad'}>{answer.status}</strong> after {answer.milliseconds.toFixed(0)} ms
            {answer.mock && ' · mock, nothing changed'}
          </p>
          <Code text={prettyJson(answer.body)} label="answer" />
        </>
      )}
    </div>
  );
}
