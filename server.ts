import { boot } from './lib';
import app from './lib/app';

// One entry for every process of the tree: primary, web worker or job processor. See lib/README.md.
void boot(app);
