import { randomKills } from './random-kills';

randomKills(5000, 8);
