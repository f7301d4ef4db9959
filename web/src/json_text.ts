// JSON laid out for people. Works on the text, so numbers beyond 2^53 and the order of members stay as the server wrote them.

export function prettyJson(source: string): string {
  try {
    JSON.parse(source);
  } catch {
    return source; // not JSON: shown as it came
  }
  let out = '';
  let depth = 0;
  let at = 0;
  const line = () => '\n' + '  '.repeat(depth);
  while (at < source.length) {
    const c = source[at]!;
    if (c === '"') {
      const end = endOfString(source, at);
      out += source.slice(at, end);
      at = end;
      continue;
    }
    at += 1;
    if (/\s/.test(c)) continue;
    if (c === '{' || c === '[') {
      const next = /\S/.exec(source.slice(at))?.[0];
      if (next === '}' || next === ']') {
        out += c + next;
        at = source.indexOf(next, at) + 1;
        continue;
      }
      depth += 1;
      out += c + line();
    } else if (c === '}' || c === ']') {
      depth -= 1;
      out += line() + c;
    } else if (c === ',') {
      out += c + line();
    } else {
      out += c === ':' ? ': ' : c;
    }
  }
  return out;
}

function endOfString(source: string, start: number): number {
  let at = start + 1;
  while (at < source.length && source[at] !== '"') at += source[at] === '\\' ? 2 : 1;
  return at + 1;
}
