import { signUpStorm } from './sign-up-storm';

signUpStorm({ users: 300, blows: 12, seed: 3, wipes: 1 });
