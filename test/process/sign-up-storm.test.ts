import { signUpStorm } from './sign-up-storm';

signUpStorm({ users: 300, ms: 15_000, seed: 3, wipes: 1, everyMs: 1500 });
