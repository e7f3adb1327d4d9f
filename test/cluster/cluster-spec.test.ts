import { describe, expect, test } from 'vitest'
import { clusterSpec } from '../../src/cluster/cluster-spec.js'
import { expandedNodes, tasksOfNodes } from '../../src/cluster/slurm-nodes.js'

/** An environment with TF_CONFIG, as TensorFlow's guide to several workers has it. */
function tfConfig(config: unknown): { TF_CONFIG: string } {
  return { TF_CONFIG: typeof config === 'string' ? config : JSON.stringify(config) }
}

const two = { worker: ['localhost:12345', 'localhost:23456'] }

describe('TF_CONFIG', () => {
  test('names the workers and this one', () => {
    expect(clusterSpec(tfConfig({ cluster: two, task: { type: 'worker', index: 1 } }))).toEqual({
      workers: ['localhost:12345', 'localhost:23456'],
      index: 1,
    })
  })

  test('counts a chief as the first worker', () => {
    const cluster = { chief: ['a:1'], worker: ['b:1', 'c:1'] }
    const workers = ['a:1', 'b:1', 'c:1']
    expect(clusterSpec(tfConfig({ cluster, task: { type: 'chief', index: 0 } }))).toEqual({
      workers,
      index: 0,
    })
    expect(clusterSpec(tfConfig({ cluster, task: { type: 'worker', index: '1' } }))).toEqual({
      workers,
      index: 2,
    })
  })

  test('takes addresses of IPv6 in brackets', () => {
    const cluster = { worker: ['[::1]:12345', '[fe80::1]:12345'] }
    expect(clusterSpec(tfConfig({ cluster, task: { index: 0 } }))?.workers).toEqual(cluster.worker)
  })

  test.each(['', '  ', '{}', '{"cluster": {}}'])('is no cluster where it is %j', text => {
    expect(clusterSpec(tfConfig(text))).toBeUndefined()
  })

  test.each([
    ['{', /TF_CONFIG must be JSON, got \{ \(/],
    ['[]', /TF_CONFIG must be an object, got \[\]/],
    [{ cluster: [] }, /TF_CONFIG cluster must be an object, got \[\]/],
    [{ cluster: { ...two, ps: ['c:1'] } }, /the jobs chief and worker alone, got ps/],
    [
      { cluster: { chief: ['a:1', 'b:1'], worker: ['c:1'] } },
      /chief must have 1 address, got 2 \(a:1, b:1\)/,
    ],
    [{ cluster: { worker: 'a:1' } }, /cluster\.worker must be a list of addresses host:port, got a:1/],
    [{ cluster: { worker: [] } }, /cluster\.worker must be a list of addresses host:port, got \[\]/],
    [{ cluster: two }, /task\.index must be an integer of at least 0, got nothing/],
    [{ cluster: two, task: { index: -1 } }, /task\.index must be an integer of at least 0, got -1/],
    [
      { cluster: two, task: { index: 2 } },
      /task\.index must be below the 2 addresses of cluster\.worker, got 2/,
    ],
    [{ cluster: two, task: { type: 'chief', index: 0 } }, /below the 0 addresses of cluster\.chief, got 0/],
    [
      { cluster: two, task: { type: 'evaluator', index: 0 } },
      /task\.type must be chief or worker, got evaluator/,
    ],
    [
      { cluster: { worker: ['a', 'b:1'] }, task: { index: 0 } },
      /addresses host:port with ports in \[1, 65535\], got a$/,
    ],
    [{ cluster: { worker: ['a:0', 'b:1'] }, task: { index: 0 } }, /ports in \[1, 65535\], got a:0/],
    [{ cluster: { worker: ['a:1', 'b:65536'] }, task: { index: 0 } }, /got b:65536/],
    [{ cluster: { worker: ['a:1', 'a:1'] }, task: { index: 0 } }, /every address once, got a:1 twice/],
  ])('%j is refused', (config, message) => {
    expect(() => clusterSpec(tfConfig(config))).toThrow(message)
  })
})

describe('torchrun', () => {
  const env = { RANK: '1', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: '29500' }

  test('has all workers on the master machine, after its own port', () => {
    expect(clusterSpec(env)).toEqual({ workers: ['127.0.0.1:29501', '127.0.0.1:29502'], index: 1 })
  })

  test('has several machines where they are named', () => {
    const several = { ...env, RANK: '3', WORLD_SIZE: '4', LOCAL_WORLD_SIZE: '2', PMOE_HOSTS: 'a, b' }
    expect(clusterSpec(several)).toEqual({ workers: ['a:29501', 'a:29502', 'b:29501', 'b:29502'], index: 3 })
  })

  test.each([
    [{ RANK: '2' }, /RANK must be in \[0, 1\], got 2/],
    [{ RANK: 'one' }, /RANK must be an integer of at least 0, got one/],
    [{ WORLD_SIZE: '0' }, /WORLD_SIZE must be an integer of at least 1, got 0/],
    [{ MASTER_PORT: '70000' }, /MASTER_PORT must be a port in \[1, 65535\], got 70000/],
    [
      { LOCAL_WORLD_SIZE: '1' },
      /PMOE_HOSTS must name the 2 machines .*, got 1 \(127\.0\.0\.1; WORLD_SIZE 2, LOCAL_WORLD_SIZE 1\)/,
    ],
  ])('%j is refused', (wrong, message) => {
    expect(() => clusterSpec({ ...env, ...wrong })).toThrow(message)
  })
})

describe('Slurm', () => {
  const env = {
    SLURM_JOB_ID: '7',
    SLURM_STEP_ID: '0',
    SLURM_STEP_NUM_TASKS: '3',
    SLURM_PROCID: '2',
    SLURM_STEP_NODELIST: 'n[1-2]',
    SLURM_STEP_TASKS_PER_NODE: '2,1',
    PMOE_PORT: '3000',
  }

  test('places tasks in blocks', () => {
    expect(clusterSpec({ ...env, SLURM_NODEID: '1' })).toEqual({
      workers: ['n1:3000', 'n1:3001', 'n2:3000'],
      index: 2,
    })
  })

  test('places tasks in turn where they are distributed so', () => {
    expect(clusterSpec({ ...env, SLURM_DISTRIBUTION: 'cyclic', SLURM_NODEID: '0' })).toEqual({
      workers: ['n1:3000', 'n2:3000', 'n1:3001'],
      index: 2,
    })
  })

  test('has ports of the job and the step without a given one', () => {
    const ports = (SLURM_JOB_ID: string, SLURM_STEP_ID: string) =>
      clusterSpec({ ...env, PMOE_PORT: undefined, SLURM_JOB_ID, SLURM_STEP_ID })?.workers[0]
    expect(ports('7', '0')).toBe('n1:15448')
    expect(ports('8', '0')).toBe('n1:15512')
    expect(ports('7', '1')).toBe('n1:15456')
  })

  test.each([{ SLURM_STEP_NUM_TASKS: '1' }, { SLURM_STEP_NUM_TASKS: undefined }])(
    '%j is no cluster',
    lone => {
      expect(clusterSpec({ ...env, ...lone })).toBeUndefined()
    },
  )

  test.each([
    [{ SLURM_PROCID: '3' }, /SLURM_PROCID must be in \[0, 2\], got 3/],
    [{ SLURM_PROCID: undefined }, /SLURM_PROCID must be an integer of at least 0, got nothing/],
    [{ SLURM_STEP_NODELIST: '' }, /SLURM_STEP_NODELIST must be set, got nothing/],
    [{ SLURM_STEP_NODELIST: 'n[1-2' }, /must be a list such as node\[1-3,5\], got n\[1-2/],
    [{ SLURM_STEP_NODELIST: 'n[2-1]' }, /must be a list such as node\[1-3,5\], got 2-1/],
    [{ SLURM_STEP_TASKS_PER_NODE: '2,2' }, /must give 3 tasks on 2 nodes, got 4 on 2 \(2,2\)/],
    [{ SLURM_STEP_TASKS_PER_NODE: 'two' }, /must be numbers of tasks such as 2\(x3\),1, got two/],
    [{ SLURM_JOB_ID: 'x' }, /SLURM_JOB_ID must be an integer of at least 0, got x/],
    [
      { SLURM_DISTRIBUTION: 'arbitrary', SLURM_NODEID: '0' },
      /SLURM_DISTRIBUTION must be block or cyclic, got arbitrary \(task 2 is on node 0, not 1\)/,
    ],
  ])('%j is refused', (wrong, message) => {
    expect(() => clusterSpec({ ...env, ...wrong })).toThrow(message)
  })

  test('expands lists of nodes and of tasks', () => {
    expect(expandedNodes('gpu[08-10,7],login,r[1-2]n[1-2]')).toEqual([
      'gpu08',
      'gpu09',
      'gpu10',
      'gpu7',
      'login',
      'r1n1',
      'r1n2',
      'r2n1',
      'r2n2',
    ])
    expect(tasksOfNodes('2(x3),1')).toEqual([2, 2, 2, 1])
  })
})

describe('Kubernetes', () => {
  const env = { JOB_COMPLETION_INDEX: '1', HOSTNAME: 'my-job-1', PMOE_WORKERS: '2', PMOE_SERVICE: 'pmoe' }

  test('names the pods of an indexed job', () => {
    expect(clusterSpec(env)).toEqual({ workers: ['my-job-0.pmoe:2222', 'my-job-1.pmoe:2222'], index: 1 })
  })

  test('is no cluster where each pod has a run of its own', () => {
    expect(clusterSpec({ ...env, PMOE_WORKERS: undefined })).toBeUndefined()
  })

  test.each([
    [{ JOB_COMPLETION_INDEX: '2' }, /JOB_COMPLETION_INDEX must be in \[0, 1\], got 2/],
    [{ HOSTNAME: 'other' }, /HOSTNAME must end with -1, .*, got other/],
    [{ PMOE_SERVICE: undefined }, /PMOE_SERVICE must be set, got nothing/],
    [{ PMOE_PORT: '-1' }, /PMOE_PORT must be an integer of at least 1, got -1/],
    [{ PMOE_WORKERS: 'many' }, /PMOE_WORKERS must be an integer of at least 1, got many/],
  ])('%j is refused', (wrong, message) => {
    expect(() => clusterSpec({ ...env, ...wrong })).toThrow(message)
  })
})

test('a plain environment names no cluster', () => {
  expect(
    clusterSpec({ PATH: '/bin', SLURM_JOB_ID: '7', SLURM_ARRAY_TASK_ID: '3', RANK: '0' }),
  ).toBeUndefined()
})
