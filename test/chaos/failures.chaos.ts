import { crashLoop } from '../supervisor/crash-loop';
import { leaks } from '../supervisor/leak';
import { randomKills } from '../supervisor/random-kills';

randomKills(60_000, 1);
randomKills(60_000, 7);
crashLoop(60_000);
leaks(4);
