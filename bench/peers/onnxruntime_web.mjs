/*
 * ONNX Runtime's WebAssembly, with one thread, in a process of its own: times predictions on noise, from numbers in memory
 * to numbers in memory, and prints the report of a measuring process.
 *
 *     node onnxruntime_web.mjs PEERS FILE BATCH HEIGHT WIDTH WARM_UP RUNS SECONDS
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [peers, file, ...numbers] = process.argv.slice(2)
const [batch, height, width, warmUp, runs, seconds] = numbers.map(Number)
const require = createRequire(join(peers, 'package.json'))
const ort = require('onnxruntime-web')
const { version } = JSON.parse(readFileSync(join(peers, 'node_modules/onnxruntime-web/package.json'), 'utf8'))
ort.env.wasm.numThreads = 1
ort.env.logLevel = 'error'
const session = await ort.InferenceSession.create(readFileSync(file), { executionProviders: ['wasm'] })
const images = Float32Array.from({ length: batch * height * width * 3 }, () => Math.random())

async function predict() {
  const x = new ort.Tensor('float32', images, [batch, height, width, 3])
  const outputs = await session.run({ [session.inputNames[0]]: x })
  return outputs[session.outputNames[0]].data
}

async function timed(most) {
  const times = []
  const start = performance.now()
  do {
    const before = performance.now()
    await predict()
    times.push((performance.now() - before) / 1000)
  } while (times.length < most && performance.now() - start < 1000 * seconds)
  return times
}

await timed(warmUp)
const software = `onnxruntime-web ${version}, WebAssembly, 1 thread`
const facts = { peakBytes: process.resourceUsage().maxRSS * 1024 }
console.log(JSON.stringify({ software, seconds: { predict: await timed(runs) }, facts }))
process.exit(0)
