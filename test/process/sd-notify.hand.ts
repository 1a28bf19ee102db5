import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { useSupervisorApp } from '../cluster/primary/supervisor-app';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { assertTellsItsLife, readTold } from './sd-notify';

/** Node has no datagram sockets of Unix, Python has: the process named in the credentials of each message, and its lines. */
const RECEIVER = `
import os, socket, struct, sys
at = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
at.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
at.bind(sys.argv[1])
print('bound', flush=True)
with open(sys.argv[1] + '.told', 'a') as told:
    while True:
        data, more, _, _ = at.recvmsg(4096, 4096)
        pid = 0
        for level, kind, value in more:
            if kind == socket.SCM_CREDENTIALS: pid = struct.unpack('3i', value)[0]
            if kind == socket.SCM_RIGHTS: os.close(struct.unpack('i', value)[0])
        if data == b'BARRIER=1': continue
        told.write('\\t'.join([str(pid), *data.decode().strip().split('\\n')]) + '\\n')
        told.flush()
`;

/**
 * Runs systemd's own program against a socket that plays systemd. No npm package contains it, so this file is in no tier: where
 * systemd and Python are installed, run `npm test -- test/process/sd-notify.hand.ts`.
 */
describe('a tree that tells a manager of services by systemd-notify', () => {
  const app = useSupervisorApp();
  let folder: string;
  let receiver: ChildProcess;
  let socket: string;
  before(async () => {
    folder = tempFolder('manager');
    socket = path.join(folder, 'notify.sock');
    receiver = spawn('python3', ['-c', RECEIVER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    if (receiver.stdout) await once(receiver.stdout, 'data');
  });
  after(async () => {
    receiver.kill();
    await once(receiver, 'exit');
    removeFolder(folder);
  });

  it('says when it is ready, restarts and stops, and feeds the watchdog', async () => {
    const tree = await app.start({ NOTIFY_SOCKET: socket, WATCHDOG_USEC: '1000000', WEB_CONCURRENCY: '1' });
    await assertTellsItsLife(tree, () => readTold(`${socket}.told`));
  });
});
