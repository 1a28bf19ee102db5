import type { Config } from '../../core/config';

/**
 * `absent`: nothing is served below /ops. `open`: to whoever asks from this machine. `signed`: to those who sign in.
 */
export type AccessMode = 'absent' | 'open' | 'signed';

export function accessMode({ ops, environment }: Pick<Config, 'ops' | 'environment'>): AccessMode {
  if (ops !== null) return 'signed';
  return environment === 'production' ? 'absent' : 'open';
}
