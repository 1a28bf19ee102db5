import fs from 'node:fs';
import path from 'node:path';
import { tempFolder } from '../../support/temp-folder';
import { Served } from '../frame/served';
import { CODE, ROOT } from '../frame/store';

const FOLDER = path.join(CODE, 'test/benchmark/web');
const PEER = path.join(FOLDER, 'peer.js');
const PM2 = path.join(ROOT, 'test/benchmark/peers/node_modules/pm2/bin/pm2-runtime');

/** @param env what the whole tree needs. */
type Start = (env: Readonly<Record<string, string>>) => Promise<Served>;

/** Two workers each. */
export const WEB_CONTENDERS = {
  catamount: (env) => Served.start({ args: [path.join(FOLDER, 'catamount.js')], env }),
  'cluster + ours': () => peerBy('cluster', 'ours'),
  'cluster + by hand': () => peerBy('cluster', 'by-hand'),
  'throng + ours': () => peerBy('throng', 'ours'),
  'pm2 + ours': startPm2,
  'cluster + node:http': () => peerBy('cluster', 'raw'),
} as const satisfies Readonly<Record<string, Start>>;

export type WebContender = keyof typeof WEB_CONTENDERS;

/** One process, for what is not about processes. */
export function startSingle(application: 'ours' | 'unlimited'): Promise<Served> {
  return peerBy('single', application);
}

function peerBy(supervisor: string, application: string): Promise<Served> {
  return Served.start({ args: [PEER, supervisor, application] });
}

/** In the foreground, as in a container: nothing of it can stay behind. */
function startPm2(): Promise<Served> {
  const home = tempFolder('pm2');
  const file = path.join(home, 'ecosystem.config.json');
  const app = {
    name: 'bench',
    script: PEER,
    args: 'pm2 ours',
    exec_mode: 'cluster',
    instances: 2,
  };
  fs.writeFileSync(file, JSON.stringify({ apps: [app] }));
  return Served.start({ args: [PM2, 'start', file], env: { PM2_HOME: home } });
}
