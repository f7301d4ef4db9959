import { useContext, useState } from 'preact/hooks';

import { logIn, logOut } from './client';
import { LoginContext } from './session';

export function LoginForm() {
  const { login, setLogin } = useContext(LoginContext);
  const [account, setAccount] = useState('admin');
  const [password, setPassword] = useState('');
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);

  if (login) {
    const leave = () => {
      void logOut(login);
      setLogin(undefined);
    };
    return (
      <p class="login">
        Logged in as <strong>{login.account}</strong>
        {login.admin && ' (administrator)'}{' '}
        <button type="button" onClick={leave}>
          Log out
        </button>
      </p>
    );
  }
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem('');
    try {
      setLogin(await logIn(account, password));
      setPassword('');
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="login" onSubmit={submit} aria-label="Log in">
      <label>
        Account
        <input name="account" autocomplete="username" required value={account} onInput={(event) => setAccount(event.currentTarget.value)} />
      </label>
      <label>
        Password
        <input
          name="password"
          type="password"
          autocomplete="current-password"
          required
          value={password}
          onInput={(event) => setPassword(event.currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={busy}>
        Log in
      </button>
      {problem !== '' && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {window.location.protocol === 'http:' && !window.isSecureContext && (
        <p class="hint">This page came without TLS: who listens on the network can take over the login.</p>
      )}
    </form>
  );
}
