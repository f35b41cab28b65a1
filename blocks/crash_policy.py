"""The policy this workspace runs with.

Register the block type:  prefect block register --file blocks/crash_policy.py
Save the default policy:  python blocks/crash_policy.py
"""

from prefect_crash_monitor.blocks import CrashPolicy

if __name__ == "__main__":
    CrashPolicy().save("default", overwrite=True)
    print("Saved the block crash-policy/default.")
