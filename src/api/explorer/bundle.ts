import path from 'node:path';
import { projectRoot } from '../../platform/project-root';

/** Where the built page lies. */
export function bundleFolder(): string {
  return path.join(projectRoot(), 'dist', 'explorer');
}

/** Builds the page into one script and one style sheet, fonts included, so that it loads nothing from elsewhere. */
export async function bundleExplorer(outputFolder: string): Promise<void> {
  // Needed at build time only, so a production install does without it.
  const { build } = await import('esbuild');
  await build({
    entryPoints: [path.join(projectRoot(), 'src', 'api', 'explorer', 'page', 'explorer.tsx')],
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    jsx: 'automatic',
    outdir: outputFolder,
    define: { 'process.env.NODE_ENV': '"production"' },
    loader: { '.woff': 'dataurl', '.woff2': 'dataurl', '.ttf': 'dataurl', '.svg': 'dataurl' },
    logLevel: 'warning',
  });
}

if (require.main === module) void bundleExplorer(bundleFolder());
