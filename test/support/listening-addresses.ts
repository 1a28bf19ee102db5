import fs from 'node:fs';

/** The addresses of TCP on which a process listens, as the kernel writes them: `0100007F:1F90`. */
export function listeningAddresses(pid: number): string[] {
  const sockets = fs.readdirSync(`/proc/${pid}/fd`).flatMap((fd) => linkOf(`/proc/${pid}/fd/${fd}`));
  const rows = fs.readFileSync(`/proc/${pid}/net/tcp`, 'utf8').split('\n');
  return rows.flatMap((row) => {
    const [, address = '', , state, , , , , , inode] = row.trim().split(/\s+/);
    return state === '0A' && sockets.includes(`socket:[${inode}]`) ? [address] : [];
  });
}

function linkOf(file: string): string[] {
  try {
    return [fs.readlinkSync(file)];
  } catch {
    return [];
  }
}
