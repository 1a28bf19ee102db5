import { LONG_MINUTES, LONG_SEED, sized } from '../support/long-form';
import { deathStorm } from './death-storm';

deathStorm(
  sized({ jobs: 300, kills: 6, seed: 5 }, { jobs: 1000, kills: 12, seed: LONG_SEED, ms: LONG_MINUTES * 60_000 }),
);
