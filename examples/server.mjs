// Classifies images that are posted to it, several at a time where they come together.
//
//   node examples/server.mjs MODEL_FOLDER [PORT]
//   curl --data-binary @photo.jpg http://localhost:8080
import { once } from 'node:events'
import { createServer } from 'node:http'
import {
  decodeImage,
  frozenClassifier,
  loadModelFolder,
  predictProbabilities,
  UnsupportedModelError,
  useBackend,
} from 'patch-moe/node'

const [folder, port = '8080'] = process.argv.slice(2)
const mostBytes = 10 * 2 ** 20
const mostWaiting = 256
const mostAtATime = 32

await useBackend()
const model = await loadModelFolder(folder)
// Answers faster than the model; one with a layer that cannot be frozen answers itself.
const frozen = await frozenClassifier(model).catch(error => {
  if (!(error instanceof UnsupportedModelError)) throw error
  console.warn(`Not frozen: ${error.message}`)
})
const shape = model.inputs[0].shape.slice(1)
const names = model.getUserDefinedMetadata()?.classNames ?? []
const waiting = []
let isBusy = false

/** What comes while a batch is computed waits, and is the next batch. */
async function classifyWaiting() {
  if (isBusy) return
  isBusy = true
  while (waiting.length > 0) {
    const batch = waiting.splice(0, mostAtATime)
    const pixels = new Uint8Array(Buffer.concat(batch.map(({ pixels }) => pixels)))
    await predictProbabilities(model, pixels, shape, { frozen }).then(
      rows => {
        for (const [i, { resolve }] of batch.entries()) resolve(rows[i])
      },
      error => {
        for (const { reject } of batch) reject(error)
      },
    )
  }
  isBusy = false
}

async function classify(request) {
  if (request.method !== 'POST') return [405, { error: 'post the bytes of an image' }]
  if (waiting.length >= mostWaiting) return [503, { error: `${mostWaiting} images are waiting already` }]
  const chunks = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > mostBytes) return [413, { error: `an image must be of at most ${mostBytes} bytes` }]
    chunks.push(chunk)
  }
  const pixels = await decodeImage(new Uint8Array(Buffer.concat(chunks)), { shape }, 'image').catch(
    error => error,
  )
  if (pixels instanceof Error) return [400, { error: pixels.message }]
  const row = await new Promise((resolve, reject) => {
    waiting.push({ pixels, resolve, reject })
    void classifyWaiting()
  })
  const best = row.indexOf(Math.max(...row))
  return [200, { class: names[best] ?? best, probability: row[best], probabilities: [...row] }]
}

const server = createServer(async (request, response) => {
  const [status, body] = await classify(request).catch(error => [500, { error: error.message }])
  // What is left of a body that is too long is not read.
  const end = status === 413 ? { connection: 'close' } : {}
  response.writeHead(status, { 'content-type': 'application/json', ...end }).end(JSON.stringify(body))
})
server.listen(Number(port), '127.0.0.1')
await once(server, 'listening')
console.log(`Listening on http://localhost:${server.address().port}`)
