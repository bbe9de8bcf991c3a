"""server.py: the server of test/bin/cluster with the settings of a benchmark, and what loads it."""

import glob
import os
import re
import subprocess
import sys
import threading
import time

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPORARY = os.environ['TMPDIR']


def log(text):
    """Progress, which is not part of the result."""
    print(time.strftime('%H:%M:%S'), text, file=sys.stderr, flush=True)


def memory_of_machine():
    """In MB."""
    with open('/proc/meminfo') as file:
        return int(re.search(r'MemTotal: +(\d+)', file.read())[1]) // 1024


def settings():
    """What differs from the server's defaults while it is measured."""
    return {
        'shared_preload_libraries': '',
        'fsync': 'on',
        'synchronous_commit': 'on',
        'full_page_writes': 'on',
        'wal_level': 'replica',
        'autovacuum': 'on',
        'autovacuum_naptime': '1min',
        'shared_buffers': os.environ.get('SHARED_BUFFERS', f'{memory_of_machine() // 4}MB'),
        'max_wal_size': '16GB',
        'checkpoint_timeout': '30min',
        'max_connections': '100',
        'jit': 'on',
    }


def configure():
    """Restarts the server with the settings."""
    data = value('postgres', 'show data_directory')
    with open(f'{data}/postgresql.conf', 'a') as file:
        file.writelines(f"{name} = '{what}'\n" for name, what in settings().items())
    subprocess.run(['pg_ctl', 'restart', '--wait', '--silent', '--mode=fast', '--pgdata', data,
                    '--log', f'{TEMPORARY}/server.log'], check=True)


def connect(database, commit='on'):
    connection = psycopg2.connect(dbname=database, options=f'-c synchronous_commit={commit}')
    connection.autocommit = True
    return connection


def rows(database, query):
    connection = connect(database)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def value(database, query):
    return rows(database, query)[0][0]


def create_database(name, template='template1'):
    rows('postgres', f'drop database if exists {name}')
    rows('postgres', f'create database {name} template {template}')


def warm(*databases):
    """Reads their tables and indexes into memory, indexes last: what is measured first would pay for it otherwise."""
    for database in databases:
        log(f'reading {database}')
        rows(database, 'create extension if not exists pg_prewarm')
        rows(database, '''
            select pg_prewarm(oid)
            from (select oid from pg_class
                  where relkind in ('r', 't', 'i') and relnamespace <> 'pg_catalog'::regnamespace
                  order by relkind = 'i') relation''')


def psql(database, file, **variables):
    """Runs a file of this directory."""
    subprocess.run(['psql', '-qXAt', '-v', 'ON_ERROR_STOP=1', '-d', database, '-f', os.path.join(HERE, file)]
                   + [word for name, what in variables.items() for word in ('-v', f'{name}={what}')],
                   stdout=subprocess.DEVNULL, check=True)


def initialize_pgbench(database, scale):
    subprocess.run(['pgbench', '--initialize', '--quiet', f'--scale={scale}', database], stderr=subprocess.DEVNULL, check=True)


def pgbench(database, scripts, clients, commit='on', defined=(), **limit):
    """Runs [(weight, text or the name of pgbench's own)] for seconds=N or transactions=N of each client.

    Returns transactions a second, of all clients, and what pgbench said of its progress. With a number of transactions they are
    counted while all clients were at work, after the first tenth, in which sessions plan.
    """
    command = ['pgbench', '--no-vacuum', '--protocol=prepared', f'--client={clients}',
               f'--jobs={min(clients, os.cpu_count())}']
    command += [f'--define={name}={what}' for name, what in dict(defined).items()]
    if 'seconds' in limit:
        command += [f'--time={limit["seconds"]}']
    else:
        command += [f'--transactions={limit["transactions"]}', '--log', f'--log-prefix={TEMPORARY}/transactions']
    if 'progress' in limit:
        command += [f'--progress={limit["progress"]}']
    for number, (weight, text) in enumerate(scripts):
        if ' ' not in text:
            command += [f'--builtin={text}@{weight}']
            continue
        name = f'{TEMPORARY}/script.{number}.sql'
        with open(name, 'w') as file:
            file.write(text)
        command += [f'--file={name}@{weight}']
    run = subprocess.run(command + [database], env=os.environ | {'PGOPTIONS': f'-c synchronous_commit={commit}'},
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    rate = re.search(r'^tps = ([0-9.]+)', run.stdout, re.M)
    if run.returncode or not rate:
        sys.exit(f'{" ".join(command)}:\n{run.stderr[-2000:]}')
    return logged_rate(clients) if 'transactions' in limit else float(rate[1]), run.stderr


def logged_rate(clients):
    """Of the log of transactions that pgbench has written, which is removed."""
    ended = [[] for _ in range(clients)]
    for name in glob.glob(f'{TEMPORARY}/transactions.*'):
        with open(name) as file:
            for line in file:
                client, _, _, _, seconds, microseconds = line.split()[:6]
                ended[int(client)].append(int(seconds) + int(microseconds) / 1e6)
        os.remove(name)
    since = max(times[len(times) // 10] for times in ended)
    until = min(times[-1] for times in ended)
    counted = sum(since < time <= until for times in ended for time in times)
    return counted / (until - since) if until > since else 0.0


def timed(cursor, statements):
    """Runs them, each in a transaction of its own or as it begins one; seconds."""
    began = time.monotonic()
    for statement in statements:
        cursor.execute(statement)
    return time.monotonic() - began


def peak_memory(cursor, statement):
    """Runs it; the most memory of its own that the session had while it did, in MB: shared buffers are not in it."""
    cursor.execute('select pg_backend_pid()')
    (pid,) = cursor.fetchone()
    most = 0
    done = threading.Event()

    def watch():
        nonlocal most
        while not done.wait(0.02):
            with open(f'/proc/{pid}/status') as file:
                most = max(most, int(re.search(r'RssAnon:\s+(\d+)', file.read())[1]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        cursor.execute(statement)
    finally:
        done.set()
        watcher.join()
    return most / 1024


def machine():
    """Lines that say what ran where."""
    with open('/proc/cpuinfo') as file:
        model = re.search(r'model name\s*: (.*)', file.read())
    with open(f'{HERE}/../../jifen.control') as file:
        version = re.search(r"default_version *= *'(.*)'", file.read())
    kernel = os.uname()
    file_system = subprocess.run(['stat', '--file-system', '--format=%T', TEMPORARY], stdout=subprocess.PIPE, text=True,
                                 check=True).stdout.strip()
    return [
        f'- {os.cpu_count()} cores of {model[1] if model else kernel.machine}, {memory_of_machine() / 1024:.0f} GB of memory, '
        f'{kernel.sysname} {kernel.release}, {file_system}',
        f'- PostgreSQL {value("postgres", "show server_version")}, jifen {version[1]}',
        '- ' + ', '.join(f'{name} = {what}' if what else f"{name} = ''" for name, what in settings().items()),
    ]
