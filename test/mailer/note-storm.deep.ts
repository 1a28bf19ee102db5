import { LONG_SEED, sized } from '../support/long-form';
import { noteStorm } from './note-storm';

noteStorm(sized({ jobs: 150, kills: 6, seed: 20_261_127 }, { jobs: 10_000, kills: 40, seed: LONG_SEED }));
