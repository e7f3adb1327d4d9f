// Trains it in Node, on any backend:
//
//   node examples/training/train.mjs --backend wasm
import { parseArgs } from 'node:util'
import { samplesFolder, useBackend } from 'patch-moe/node'
import { trainDigits } from './digits.js'

const { values } = parseArgs({
  options: {
    backend: { type: 'string', default: 'auto' },
    epochs: { type: 'string', default: '5' },
    samples: { type: 'string', default: '200' },
  },
})
const [epochs, samples] = [Number(values.epochs), Number(values.samples)]
const { name, reason } = await useBackend(values.backend)
console.log(`${name}: ${reason}`)
await trainDigits(
  { source: samplesFolder('digits8'), epochs, samples },
  ({ epoch, trainLoss, testAccuracy }) => {
    console.log(
      `epoch ${epoch}  loss ${trainLoss.toFixed(6)}  test accuracy ${(100 * testAccuracy).toFixed(1)} %`,
    )
  },
)
