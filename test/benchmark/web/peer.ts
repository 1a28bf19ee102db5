import cluster from 'node:cluster';
import http from 'node:http';
import throng from 'throng';
import { APPLICATIONS, type ApplicationName } from './applications';

/** `node peer.js <supervisor> <application>`: one server of PORT, as one would have it without us. */
// pm2 puts its own arguments before.
const [supervisor, application] = process.argv.slice(-2);
const WORKERS = 2;

function serve(): void {
  const handler = APPLICATIONS[application as ApplicationName]();
  http.createServer(handler).listen(Number(process.env.PORT), '127.0.0.1');
}

const START: Readonly<Record<string, () => void>> = {
  single: serve,
  /** pm2 forks this file itself. */
  pm2: serve,
  cluster: () => {
    if (!cluster.isPrimary) return serve();
    for (let n = 0; n < WORKERS; n++) cluster.fork();
    process.once('SIGTERM', () => {
      for (const worker of Object.values(cluster.workers ?? {})) worker?.kill();
      cluster.disconnect(() => process.exit());
    });
  },
  throng: () => void throng({ count: WORKERS, worker: serve }),
};

START[supervisor ?? '']?.();
