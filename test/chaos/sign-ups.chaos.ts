import { signUpStorm } from '../process/sign-up-storm';

/** Another one is had by `npm run chaos -- long --only sign-ups --seed 5`. */
const seed = Number(process.env.CHAOS_SEED ?? 1);

signUpStorm({ users: 10_000, blows: 20, seed, wipes: 2 });
