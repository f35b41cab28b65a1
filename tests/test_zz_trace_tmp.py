import sys; sys.path.insert(0,'/work/main')
from datetime import *
from tests.test_cycle import settings, cycle, unique
from prefect_crash_monitor.api import open_api, Api
async def test_x(api_url, monkeypatch):
    flow=unique("cost"); far=datetime(2020,1,1,tzinfo=UTC)
    log=[]
    orig=Api._send
    async def send(self,m,p,**k):
        log.append((m,p)); return await orig(self,m,p,**k)
    monkeypatch.setattr(Api,"_send",send)
    async with open_api() as api:
        for i in range(4): await cycle(api,settings(flow),far+i*timedelta(minutes=1))
        log.clear()
        await cycle(api,settings(flow),far+timedelta(minutes=4))
    for l in log: print(l)
