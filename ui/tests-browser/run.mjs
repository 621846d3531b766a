// The page in a browser, against a real server. HERO_LOGIC_BIN=…/hero_logic npm run test:browser [PART OF A NAME]

import { runAll } from "./harness.mjs";
import "./plays.test.mjs";
import "./library.test.mjs";
import "./everywhere.test.mjs";
import "./large.test.mjs";

await runAll(process.argv[2]);
