import { randomKills } from './random-kills';

randomKills(8000, 6);
