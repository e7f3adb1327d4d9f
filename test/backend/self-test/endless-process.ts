import { writeFileSync } from 'node:fs'
import type { SelfTestOrder } from '../../../src/backend/self-test/child.js'
import { endWithParent } from '../../../src/backend/self-test/parent-watch.js'

// A process that checks a TensorFlow, in an operation that never returns. It writes its id to the file PID_FILE.
const { parent } = JSON.parse(process.argv[2] ?? '') as SelfTestOrder
endWithParent(parent)
writeFileSync(process.env.PID_FILE ?? '', String(process.pid))
for (;;);
