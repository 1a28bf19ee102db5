import { leaderStorm } from './leader-storm';

leaderStorm({ users: 900 });
