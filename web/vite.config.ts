import { defineConfig } from 'vite';

const server = process.env['RAMET_SERVER'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  build: {
    outDir: '../build/web',
    emptyOutDir: true,
    target: 'es2022',
    // The server's Content-Security-Policy allows files of its own only: no data: URLs, no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: false,
  },
  // `npm run dev` shows pages from here and passes API calls on to a running rametd.
  server: { proxy: { '/zstack': server, '/openapi.json': server } },
});
