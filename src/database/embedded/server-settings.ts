import { totalmem } from 'node:os';

const MIB = 1024 * 1024;

/**
 * PostgreSQL's own cache: an eighth of the memory, at least what it takes by default. Half of what its documentation suggests for a
 * machine that does nothing else (postgresql.org/docs/18/runtime-config-resource.html); more than 1 GiB helps no company of a size
 * that was tried. It takes the memory only as it is used. Pure.
 * @param memory of the machine or its container, in bytes
 */
export function sharedBuffers(memory: number): string {
  return `${Math.floor(Math.min(Math.max(memory / 8 / MIB, 128), 1024))}MB`;
}

/** What this process may use: less than the machine has where a container limits it. */
function availableMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

export function serverSettings(port: number): Readonly<Record<string, string>> {
  return {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    port: String(port),
    max_connections: '200',
    shared_buffers: sharedBuffers(availableMemory()),
    max_wal_size: '2GB',
    jit: 'off',
    log_min_messages: 'warning',
  };
}
