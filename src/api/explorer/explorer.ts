import { existsSync } from 'node:fs';
import path from 'node:path';
import { Router, static as serveStatic } from 'express';
import { bundleFolder } from './bundle';

// CodeMirror sets styles on elements, and its fonts are in the style sheet; everything else comes from this server.
const POLICY = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "font-src 'self' data:",
  "img-src 'self' data:",
  "connect-src 'self' ws: wss:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

/** The GraphQL explorer at /explorer: a page that works without internet. */
export function explorer(options: { graphqlPath: string; folder?: string }): Router {
  const folder = options.folder ?? bundleFolder();
  const router = Router();
  router.use('/explorer', (_request, response, next) => {
    response.set({
      'content-security-policy': POLICY,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-cache',
    });
    next();
  });
  router.get('/', (_request, response) => response.redirect('/explorer'));
  router.get('/explorer', (_request, response) => {
    if (!existsSync(path.join(folder, 'explorer.js'))) {
      response.status(503).type('text').send('The explorer is not built: run `npm run build`.');
      return;
    }
    response.type('html').send(page(options.graphqlPath));
  });
  router.use('/explorer', serveStatic(folder, { index: false, fallthrough: true }));
  return router;
}

function page(graphqlPath: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Rollcall GraphQL explorer</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/explorer/explorer.css"></head>
<body data-graphql="${graphqlPath}"><div id="root"></div><script src="/explorer/explorer.js"></script></body>
</html>`;
}
