import { crashLoop } from './crash-loop';

crashLoop(3000);
