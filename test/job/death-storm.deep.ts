import { deathStorm } from './death-storm';

deathStorm({ jobs: 300, kills: 6, seed: 5 });
