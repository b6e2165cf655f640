"""The program `pganalytics ship` driven from outside: a collector worker's part played over the frame
socket (worker.py, frames.py), and a hub that answers by script over real TLS (scripted_hub.py,
authority.py). For what a real server and a real hub can't be made to do on demand.
"""
