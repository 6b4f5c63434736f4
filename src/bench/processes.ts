import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { projectRoot } from '../platform/project-root';

/** A program of this project in a process of its own, so that its memory and time are its own. */
export interface Program {
  readonly pid: number;
  stop(): Promise<void>;
}

const DIST = path.join(projectRoot(), 'dist', 'src');

/** Node's options of `npm start`, which whatever is measured beside the server is given too. */
function nodeOptions(): string[] {
  const { scripts } = JSON.parse(readFileSync(path.join(projectRoot(), 'package.json'), 'utf8'));
  return (scripts.start as string).split(' ').slice(1, -1);
}

/** Starts a built program and waits until it answers at an address. */
export async function startProgram(
  script: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  readyUrl: string,
): Promise<Program> {
  const child = spawn(process.execPath, [...nodeOptions(), path.join(DIST, script), ...args], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await untilReady(child, readyUrl);
  return {
    pid: child.pid ?? 0,
    stop: async () => {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function untilReady(child: ChildProcess, url: string): Promise<void> {
  const until = Date.now() + 120_000;
  while (Date.now() < until) {
    if (child.exitCode !== null) throw new Error(`${url}: the process ended with ${child.exitCode}.`);
    const answer = await fetch(url).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${url} did not answer.`);
}

/** A process's resident memory over time, in MiB. Linux only; elsewhere there are no samples. */
export class MemorySampler {
  readonly samples: number[] = [];
  private readonly timer: NodeJS.Timeout;

  constructor(pid: number, everyMs = 50) {
    this.timer = setInterval(() => {
      const rss = residentMiB(pid);
      if (rss !== undefined) this.samples.push(rss);
    }, everyMs);
  }

  stop(): { peak: number; samples: number[] } {
    clearInterval(this.timer);
    return { peak: Math.max(0, ...this.samples), samples: thin(this.samples, 20) };
  }
}

function residentMiB(pid: number): number | undefined {
  try {
    const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return line?.[1] ? Math.round(Number(line[1]) / 1024) : undefined;
  } catch {
    return undefined;
  }
}

function thin(samples: readonly number[], count: number): number[] {
  if (samples.length <= count) return [...samples];
  return Array.from({ length: count }, (_, i) => samples[Math.floor((i * (samples.length - 1)) / (count - 1))] ?? 0);
}
