import { crashLoop } from '../cluster/primary/crash-loop';
import { leaks } from '../cluster/primary/leak';
import { phasedRestarts } from '../cluster/primary/phased-restarts';
import { randomKills } from '../cluster/primary/random-kills';
import { PROMISED_S, stopsAndStarts, stopsInARow, stopsUnderFreshCallers } from '../cluster/primary/stops';
import { standstills, PROMISED_S as TOLD_WITHIN_S } from '../health/standstills';
import { storeFaults } from '../health/store-faults';
import { deathStorm } from '../job/death-storm';
import { noteStorm } from '../mailer/note-storm';
import { idleTree } from '../process/idle';
import { leaderStorm } from '../process/leader-storm';
import { signUpStorm } from '../process/sign-up-storm';
import { rollingDeploy } from './roll';

/** Seed of the sign-ups and the mails, set by `npm run chaos -- long --only sign-ups --seed 5`. */
const seed = Number(process.env.CHAOS_SEED ?? 1);
/** Duration of the storm of `kill -9`, minutes, set by `npm run chaos -- long --only die --minutes 2`. */
const stormMinutes = Number(process.env.CHAOS_MINUTES ?? 10);

randomKills(60_000, 1);
randomKills(60_000, 7);
crashLoop(60_000);
leaks(4);
phasedRestarts(20);
stopsAndStarts(20, PROMISED_S);
stopsInARow(100, PROMISED_S);
stopsUnderFreshCallers(20);
signUpStorm({ users: 10_000, blows: 20, seed, wipes: 2 });
leaderStorm({ users: 10_000 });
// An older build is set by `npm run chaos -- long --only rolling --from ../built-checkout`.
rollingDeploy({ trees: 10, from: process.env.CHAOS_FROM });
noteStorm({ jobs: 10_000, kills: 40, seed });
standstills(TOLD_WITHIN_S);
storeFaults(TOLD_WITHIN_S);
idleTree({ minutes: 10 });
deathStorm({ jobs: 1000, kills: 12, seed, ms: stormMinutes * 60_000 });
