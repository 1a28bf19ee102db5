import type { Config } from '../../core/config';

/**
 * `absent`: nothing is served below /ops. `token`: to who asks from this machine and has the token that the log of the start
 * tells. `signed`: to those who sign in.
 */
export type AccessMode = 'absent' | 'token' | 'signed';

export function accessMode({ ops, environment }: Pick<Config, 'ops' | 'environment'>): AccessMode {
  if (ops !== null) return 'signed';
  return environment === 'production' ? 'absent' : 'token';
}
