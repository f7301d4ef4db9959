import { createContext } from 'preact';

import type { Login } from './client';

export interface LoginState {
  login: Login | undefined;
  setLogin: (login: Login | undefined) => void;
}

export const LoginContext = createContext<LoginState>({ login: undefined, setLogin: () => undefined });
