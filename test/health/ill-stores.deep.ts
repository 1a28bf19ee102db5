import { illStores } from './ill-stores';

illStores();
