// Addresses without reloads: three kinds of page, so a library would be more than is needed.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

const kMoved = 'ramet:moved';

export function usePath(): string {
  const [path, setPath] = useState(window.location.pathname);
  useEffect(() => {
    const follow = () => setPath(window.location.pathname);
    window.addEventListener('popstate', follow);
    window.addEventListener(kMoved, follow);
    return () => {
      window.removeEventListener('popstate', follow);
      window.removeEventListener(kMoved, follow);
    };
  }, []);
  return path;
}

function go(event: MouseEvent, href: string): void {
  // New tab, new window, download: the browser's business.
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if (href === window.location.pathname) return;
  window.history.pushState(null, '', href);
  window.dispatchEvent(new Event(kMoved));
  window.scrollTo(0, 0);
  // A keyboard or screen reader user must land on the new page, not stay on a link of the old one.
  requestAnimationFrame(() => (document.querySelector<HTMLElement>('main h1') ?? document.getElementById('main'))?.focus());
}

export function Link({
  href,
  children,
  current,
  ...rest
}: {
  href: string;
  children: ComponentChildren;
  class?: string;
  current?: boolean;
}) {
  return (
    <a href={href} onClick={(event) => go(event, href)} {...(current ? { 'aria-current': 'page' as const } : {})} {...rest}>
      {children}
    </a>
  );
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title;
  }, [title]);
}
