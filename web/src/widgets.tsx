// Small parts that several pages share.
import { useState } from 'preact/hooks';

export function Method({ method }: { method: string }) {
  return <span class={`method ${method.toLowerCase()}`}>{method}</span>;
}

export function Code({ text, label, copy = true }: { text: string; label: string; copy?: boolean }) {
  const [copied, setCopied] = useState(false);
  // Only pages on https or localhost may use the clipboard.
  const possible = copy && window.isSecureContext;
  const toClipboard = () =>
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  return (
    <div class="code">
      <pre tabIndex={0} role="region" aria-label={label}>
        {text}
      </pre>
      {possible && (
        <button type="button" class="copy" onClick={toClipboard}>
          {copied ? 'Copied' : 'Copy'}
          <span class="hidden"> {label}</span>
        </button>
      )}
    </div>
  );
}
