import * as tf from '@tensorflow/tfjs'
import { useBackend } from './src/backend/choose.js'
import { operationTable } from './src/backend/operation-table.js'
import { runCheck } from './src/backend/operation-check.js'
import { setPrecision } from './src/backend/tensorflow-precision.js'
await useBackend(process.argv[2] as any)
const t0=performance.now()
let n=0, absent=0; const seen=new Map<string,number>(), time=new Map<string,number>(); const bad:string[]=[]
const m0=tf.memory().numTensors
for (const c of operationTable()) {
  if (!c.isThere() || (c.inBfloat16 && process.argv[2]!=='tensorflow')) { absent++; continue }
  if (process.argv[2]==='tensorflow') setPrecision(c.inBfloat16?'bf16':'float32')
  const a=performance.now()
  const r=await runCheck(c); n++
  const key=c.operation+(c.inBfloat16?' bf16':'')
  time.set(key,(time.get(key)??0)+performance.now()-a)
  seen.set(key,(seen.get(key)??0)+1)
  if (r.wrong) bad.push(key+' '+c.sizes+': '+r.wrong)
}
console.log(n, absent, performance.now()-t0, tf.memory().numTensors-m0, process.memoryUsage().rss/1e6)
for (const [k,v] of time) console.log(k, seen.get(k), v.toFixed(0))
console.log(bad.length, bad.filter(b=>!process.argv[3]||b.startsWith(process.argv[3])).slice(0,40).join('\n'))
