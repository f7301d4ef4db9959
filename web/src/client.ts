// Talks to the server this page came from, and to no other.
import { sha512 } from '@noble/hashes/sha2';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils';

import type { Prepared } from './request';

export interface Login {
  session: string;
  account: string;
  admin: boolean;
}

export interface Answered {
  status: number;
  milliseconds: number;
  body: string;
  mock: boolean; // as the server says, not as was asked
}

export interface ErrorShape {
  code?: string;
  description?: string;
  details?: string;
}

const kApi = '/zstack/v1';
const kLoginKey = 'ramet.login';
const kSessionGone = 'ID.1001';
const kPollFirst = 250;
const kPollMax = 2000;

export function storedLogin(): Login | undefined {
  try {
    const value = JSON.parse(sessionStorage.getItem(kLoginKey) ?? 'null') as Login | null;
    return value !== null && typeof value.session === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

export function storeLogin(login: Login | undefined): void {
  if (login) sessionStorage.setItem(kLoginKey, JSON.stringify(login));
  else sessionStorage.removeItem(kLoginKey);
}

export function errorOf(body: string): ErrorShape | undefined {
  try {
    return (JSON.parse(body) as { error?: ErrorShape }).error;
  } catch {
    return undefined;
  }
}

export function sessionIsGone(answer: Answered): boolean {
  return answer.status === 503 && errorOf(answer.body)?.code === kSessionGone;
}

function headersFor(login: Login | undefined): Record<string, string> {
  return login ? { Authorization: `OAuth ${login.session}` } : {};
}

async function exchange(prepared: Prepared, headers: Record<string, string>, signal?: AbortSignal): Promise<Answered> {
  const begun = performance.now();
  const response = await fetch(prepared.url, {
    method: prepared.method,
    headers: prepared.body === undefined ? headers : { ...headers, 'Content-Type': 'application/json;charset=UTF-8' },
    ...(prepared.body === undefined ? {} : { body: prepared.body }),
    ...(signal ? { signal } : {}),
  });
  const body = await response.text();
  return { status: response.status, milliseconds: performance.now() - begun, body, mock: response.headers.get('X-Ramet-Mode') === 'mock' };
}

export function sendMock(prepared: Prepared, login: Login | undefined, signal: AbortSignal): Promise<Answered> {
  return exchange(prepared, { ...headersFor(login), 'X-Ramet-Mode': 'mock' }, signal);
}

// The path of a 202's location. Its host is dropped: behind a proxy it may name one this page cannot reach.
export function jobPath(answer: Answered): string | undefined {
  try {
    const location = (JSON.parse(answer.body) as { location?: string }).location;
    return location === undefined ? undefined : new URL(location, window.location.href).pathname;
  } catch {
    return undefined;
  }
}

// Follows a 202 to its end; `told` hears that the job goes on. Aborting stops the watching, not the job.
export async function sendReal(
  prepared: Prepared,
  login: Login | undefined,
  signal: AbortSignal,
  told: (path: string) => void,
): Promise<Answered> {
  const begun = performance.now();
  const headers = headersFor(login);
  let answer = await exchange(prepared, headers, signal);
  const path = answer.status === 202 ? jobPath(answer) : undefined;
  if (path === undefined) return answer;
  told(path);
  for (let wait = kPollFirst; answer.status === 202; wait = Math.min(wait * 2, kPollMax)) {
    await pause(wait, signal);
    answer = await exchange({ method: 'GET', url: path }, headers, signal);
  }
  return { ...answer, milliseconds: performance.now() - begun };
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done, refuse) => {
    const stop = () => {
      clearTimeout(timer);
      refuse(new DOMException('stopped', 'AbortError'));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      done();
    }, milliseconds);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
}

export function passwordHash(password: string): string {
  return bytesToHex(sha512(utf8ToBytes(password)));
}

// The clear password stays in this page: the server is given its SHA-512.
export async function logIn(account: string, password: string): Promise<Login> {
  const body = JSON.stringify({ logInByAccount: { accountName: account, password: passwordHash(password) } });
  const answer = await exchange({ method: 'PUT', url: `${kApi}/accounts/login`, body }, {});
  if (answer.status !== 200) {
    const error = errorOf(answer.body);
    throw new Error(error?.details || error?.description || answer.body || `the server answered ${answer.status}`);
  }
  const { uuid: session, accountUuid } = (JSON.parse(answer.body) as { inventory: { uuid: string; accountUuid: string } }).inventory;
  const login = { session, account, admin: false };
  // Every account finds itself; when it does not, the server still refuses what only administrators may do.
  const own = await exchange({ method: 'GET', url: `${kApi}/accounts/${accountUuid}` }, headersFor(login));
  const rows = own.status === 200 ? (JSON.parse(own.body) as { inventories?: { type?: string }[] }).inventories : undefined;
  return { ...login, admin: rows?.[0]?.type === 'SystemAdmin' };
}

export async function logOut(login: Login): Promise<void> {
  await exchange({ method: 'DELETE', url: `${kApi}/accounts/sessions/${login.session}` }, headersFor(login)).catch(() => undefined);
}

export async function isOpen(login: Login): Promise<boolean> {
  const answer = await exchange({ method: 'GET', url: `${kApi}/accounts/sessions/${login.session}/valid` }, {});
  return answer.status === 200 && (JSON.parse(answer.body) as { valid?: boolean }).valid === true;
}

export interface Choice {
  uuid: string;
  name: string;
}

// Existing resources to choose a path parameter from. None on any failure: the user can always type.
export async function choices(listPath: string, login: Login, signal: AbortSignal): Promise<Choice[]> {
  try {
    const answer = await exchange({ method: 'GET', url: `${listPath}?limit=50` }, headersFor(login), signal);
    if (answer.status !== 200) return [];
    const rows = (JSON.parse(answer.body) as { inventories?: { uuid?: string; name?: string }[] }).inventories ?? [];
    return rows.flatMap((row) => (row.uuid === undefined ? [] : [{ uuid: row.uuid, name: row.name ?? '' }]));
  } catch {
    return [];
  }
}
