import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { useTestBackend } from '../backend-under-test.js'
import { type ObjectServer, serveObjects } from '../files/storage/object-server.js'
import { isSignedWith } from '../files/storage/signature.js'
import { callPmoe } from './run-pmoe.js'

const secret = 'wJalrXUtnFEMI/bPxRfiCYEXAMPLEKEY'
const at = (name: string) => join(root, name)
let root: string
let server: ObjectServer

beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'data-at-address-'))
  const { code, err } = await callPmoe([
    'data',
    'prepare',
    'digits-patches',
    '--samples',
    '20',
    '--test-samples',
    '10',
    '--out',
    at('p'),
  ])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  server = await serveObjects({})
  for (const name of await readdir(at('p'))) {
    const bytes = new Uint8Array(await readFile(join(at('p'), name)))
    server.objects.set(`web/p/${name}`, bytes)
    server.objects.set(`bucket/p/${name}`, bytes)
  }
  server.behaviour.answer = ({ path, request }, response) => {
    if (!path.startsWith('bucket/') || isSignedWith(request, secret)) return false
    response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>')
    return true
  }
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await server.close()
  await rm(root, { recursive: true, force: true })
})

const training = ['--dataset', 'digits-patches', '--model', 'wrn-pmoe', '--epochs', '1', '--batch-size', '10']

test('trains on a bucket, resumes without a flag, and writes no key anywhere', async () => {
  vi.stubEnv('AWS_ENDPOINT_URL', server.address)
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIAIOSFODNN7EXAMPLE')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', secret)
  vi.stubEnv('AWS_SESSION_TOKEN', 'a-session-token')
  const run = at('run')
  const words = ['train', ...training, '--backend', 'wasm', '--cache', at('cache'), '--out', run]
  const trained = await callPmoe([...words, '--data', 's3://bucket/p/'])
  expect(trained).toMatchObject({ code: 0, err: '' })
  expect(JSON.parse(await readFile(join(run, 'config.json'), 'utf8'))).toMatchObject({
    dataset: { data: 's3://bucket/p' },
  })
  const resumed = await callPmoe(['train', '--resume', '--out', run, '--epochs', '2'])
  expect(resumed).toMatchObject({ code: 0, err: '' })
  const texts = [trained.out, resumed.out]
  for (const folder of [run, at('cache')]) {
    for (const name of await readdir(folder, { recursive: true })) {
      texts.push(await readFile(join(folder, name), 'latin1').catch(() => ''))
    }
  }
  expect(texts.length).toBeGreaterThan(10)
  for (const text of texts) expect(text).not.toMatch(/AKIAIOSFODNN7EXAMPLE|wJalrXUtnFEMI|a-session-token/)
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wrong')
  expect(await callPmoe(['data', 'verify', 's3://bucket/p'])).toMatchObject({
    code: 1,
    err: expect.stringMatching(
      /^pmoe: s3:\/\/bucket\/p\/manifest.json: must be readable, got status 403 AccessDenied \(signed/,
    ),
  })
  vi.unstubAllEnvs()
})

test('verifies, inspects and lists an address', async () => {
  vi.stubEnv('PMOE_CACHE', at('cache'))
  const address = `${server.address}/web/p`
  expect(await callPmoe(['data', 'verify', address])).toMatchObject({
    code: 0,
    out: expect.stringContaining('All is well: 30 records in 4 files, as the manifest says'),
  })
  const inspected = await callPmoe(['data', 'inspect', address, '--out', at('sheet.png')])
  expect(inspected).toMatchObject({ code: 0, out: expect.stringContaining(`in ${address}, prepared from`) })
  expect(await callPmoe(['data', 'list', '--data', address])).toMatchObject({
    code: 0,
    out: expect.stringContaining('20 training and 10 test images prepared of digits-patches'),
  })
  vi.unstubAllEnvs()
})

test.each([
  [
    ['data', 'verify', 'https://me:pass-word@host/p'],
    'https://…@host/p: address must hold no user name or password',
  ],
  [['data', 'inspect', 'https://host/p?key=pass-word'], 'https://host/p?…: address must end with its path'],
  [
    ['data', 'list', '--data', 'gs://host/pass-word'],
    'gs://host/pass-word: address must begin with https://',
  ],
  [['train', ...training, '--data', 'http://host/p'], 'http://host: address must be https://'],
])('refuses %j as a wrong call, and shows no password', async (words, message) => {
  const { code, err, out } = await callPmoe(words)
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain(`pmoe: ${message}`)
  expect(err).not.toContain(':pass-word')
  expect(err).not.toContain('=pass-word')
})

test('tells of an address that has no prepared images', async () => {
  vi.stubEnv('PMOE_CACHE', at('cache'))
  for (const words of [
    ['data', 'verify'],
    ['data', 'inspect'],
  ]) {
    expect(await callPmoe([...words, `${server.address}/web`])).toMatchObject({
      code: 1,
      err:
        `pmoe: ${server.address}/web: address must be that of a prepared folder (with manifest.json), of a zip archive, ` +
        'or s3://, got a folder whose files cannot be listed\n',
    })
  }
  vi.unstubAllEnvs()
})
